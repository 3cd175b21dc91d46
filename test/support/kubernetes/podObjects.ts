/** Pods, EndpointSlices and a Deployment as the API server keeps them. */

import { namespace } from './apiServer.ts';
import type { KubeObject } from './store.ts';

export interface PodState {
  name: string;
  deployment: string;
  template: string;
  ready: boolean;
  terminating: boolean;
  annotations?: Record<string, string> | undefined;
}

export const deploymentLabels = (name: string): Record<string, string> => ({
  'app.kubernetes.io/name': 'hostroom',
  'app.kubernetes.io/instance': name,
});

export function podObject({ name, deployment, template, ready, terminating, annotations }: PodState): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { ...deploymentLabels(deployment), 'pod-template-hash': template },
      ownerReferences: [{ kind: 'ReplicaSet', name: `${deployment}-${template}` }],
      ...(annotations && { annotations }),
      ...(terminating && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

export function sliceObject(service: string, pods: readonly PodState[]): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${service}-1`, namespace, labels: { 'kubernetes.io/service-name': service } },
    endpoints: pods.map(({ name, ready, terminating }) => ({
      targetRef: { kind: 'Pod', name },
      conditions: { ready: ready && !terminating, serving: ready, terminating },
    })),
  };
}

export function deploymentObject(name: string, replicas: number): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels: deploymentLabels(name) },
    spec: { replicas, template: {} },
  };
}
