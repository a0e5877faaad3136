// Flaw: a watch lives until somebody ends it: a connection that died without a word is waited on for ever.
// Seen in: https://github.com/kubernetes-client/javascript/issues/596
// Caught by: a watch on which nothing comes any more is given up, and what was missed is heard
import type { KubernetesObject } from '@kubernetes/client-node';
import { Informer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Informer<T extends KubernetesObject = KubernetesObject> extends Reference<T> {
  constructor(...[cluster, source, onChange, options]: ConstructorParameters<typeof Reference<T>>) {
    super(cluster, source, onChange, { ...options, watchMs: 2 ** 31 - 1 });
  }
}
