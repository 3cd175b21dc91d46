/** Where this process stands in Kubernetes, by what the kubelet and the manifest put into its environment. */

export interface KubernetesPlace {
  pod: string;
  /** Undefined: that of the service account. */
  namespace: string | undefined;
  /** Empty where the manifest does not say. */
  node: string;
  /** A file to reach the API server by; undefined: the service account. */
  kubeconfig: string | undefined;
  /** Whether admins may change the number of replicas. */
  mayScale: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined outside of Kubernetes. Pushes what is wrong on `faults`. */
export function readKubernetesPlace(env: Environment, faults: string[]): KubernetesPlace | undefined {
  const text = (name: string): string | undefined => env[name]?.trim() || undefined;
  const scale = text('SCALE_CONTROL') ?? 'off';
  if (scale !== 'on' && scale !== 'off') faults.push(`SCALE_CONTROL: ${JSON.stringify(scale)} is neither on nor off`);
  const pod = text('POD_NAME') ?? text('HOSTNAME');
  if (text('KUBERNETES_SERVICE_HOST') === undefined || pod === undefined) return undefined;
  return {
    pod,
    namespace: text('POD_NAMESPACE'),
    node: text('NODE_NAME') ?? '',
    kubeconfig: text('KUBECONFIG'),
    mayScale: scale === 'on',
  };
}
