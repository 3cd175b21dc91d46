/** The fields that hostroom's manifests use of resources that are not Kubernetes' own, as their definitions have them. */

/** `map`: any names, values of text. A list has one entry: what its items are. `?` behind a name: may be missing. */
export type Shape = 'string' | 'number' | 'boolean' | 'map' | readonly [Shape] | { readonly [field: string]: Shape };

const labelSelector: Shape = { 'matchLabels?': 'map' };
const scalingPolicy: Shape = { type: 'string', value: 'number', periodSeconds: 'number' };
const scalingRules: Shape = { 'stabilizationWindowSeconds?': 'number', 'selectPolicy?': 'string', policies: [scalingPolicy] };
const metadata: Shape = { name: 'string', 'namespace?': 'string', 'labels?': 'map', 'annotations?': 'map' };
const object = (apiVersion: string, kind: string, spec: Shape): [string, Shape] => [
  `${apiVersion} ${kind}`,
  { apiVersion: 'string', kind: 'string', metadata, spec },
];

/** By `apiVersion kind`. Sources: Gateway API 1.2 (standard channel), KEDA 2.17, Prometheus operator 0.80. */
export const customResources: ReadonlyMap<string, Shape> = new Map([
  object('gateway.networking.k8s.io/v1', 'HTTPRoute', {
    parentRefs: [{ name: 'string', 'namespace?': 'string', 'sectionName?': 'string', 'port?': 'number' }],
    'hostnames?': ['string'],
    rules: [
      {
        'matches?': [{ 'path?': { type: 'string', value: 'string' } }],
        'timeouts?': { 'request?': 'string', 'backendRequest?': 'string' },
        backendRefs: [{ name: 'string', port: 'number', 'weight?': 'number' }],
      },
    ],
  }),
  object('keda.sh/v1alpha1', 'ScaledObject', {
    scaleTargetRef: { 'apiVersion?': 'string', 'kind?': 'string', name: 'string' },
    'minReplicaCount?': 'number',
    'maxReplicaCount?': 'number',
    'pollingInterval?': 'number',
    'cooldownPeriod?': 'number',
    'fallback?': { failureThreshold: 'number', replicas: 'number', 'behavior?': 'string' },
    triggers: [{ type: 'string', 'name?': 'string', 'metricType?': 'string', metadata: 'map' }],
    'advanced?': { 'horizontalPodAutoscalerConfig?': { 'behavior?': { 'scaleUp?': scalingRules, 'scaleDown?': scalingRules } } },
  }),
  object('monitoring.coreos.com/v1', 'ServiceMonitor', {
    'jobLabel?': 'string',
    selector: labelSelector,
    'sampleLimit?': 'number',
    endpoints: [
      {
        port: 'string',
        'path?': 'string',
        'interval?': 'string',
        'scrapeTimeout?': 'string',
        'honorLabels?': 'boolean',
        'relabelings?': [
          { 'targetLabel?': 'string', 'replacement?': 'string', 'sourceLabels?': ['string'], 'action?': 'string', 'regex?': 'string' },
        ],
      },
    ],
  }),
]);
