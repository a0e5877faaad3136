// Flaw: a new list is added to the cache, and what is not in it any more stays there for ever.
// Seen in: https://github.com/kubernetes-client/javascript/issues/494
// Caught by: a watch that broke and whose place is forgotten loses nothing: neither a change nor a deletion
import type { KubernetesObject } from '@kubernetes/client-node';
import { Informer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Informer<T extends KubernetesObject = KubernetesObject> extends Reference<T> {
  protected override async relist(): Promise<string> {
    const { apiVersion, kind, namespace } = this.source;
    const { items, metadata } = await this.cluster.list<T>(apiVersion, kind, namespace);
    for (const item of items) this.learn({ ...item, apiVersion, kind });
    return metadata?.resourceVersion ?? '';
  }
}
