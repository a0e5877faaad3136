import type { KubernetesObject } from '@kubernetes/client-node';
import type { Cluster, Source } from './cluster.ts';
import { StaleFenceError } from './errors.ts';
import { Informer, type InformerOptions, keyOf } from './informer.ts';
import type { Term } from './leader.ts';
import { type QueueOptions, WorkQueue } from './queue.ts';

export interface ControllerOptions<T extends KubernetesObject> {
  readonly cluster: Cluster;
  /** What is reconciled. */
  readonly primary: Source;
  /** Kinds that it makes: a change to one is a reason to look at its owner. */
  readonly owned: readonly Source[];
  /**
   * Compares what the object asks for with what is there, and acts on the difference. It never hears what has happened. A number
   * that it returns is the milliseconds until it wants to look again.
   */
  readonly reconcile: (object: T, term: Term) => Promise<unknown>;
  readonly queue?: Omit<QueueOptions, 'clock'>;
  readonly informer?: InformerOptions;
}

/** Reconciles for the length of a term: the routine of `Candidate.run`. */
export async function control<T extends KubernetesObject>(options: ControllerOptions<T>, term: Term): Promise<void> {
  const { cluster, primary, owned, reconcile, informer } = options;
  const over = Promise.withResolvers<void>();
  const end = () => over.resolve();
  term.signal.addEventListener('abort', end, { once: true });
  const queue = new WorkQueue(
    async (key) => {
      const object = objects.get(key);
      // Gone: the garbage collector takes what it owned.
      if (object === undefined || term.signal.aborted) return;
      return reconcile(object, term);
    },
    {
      ...options.queue,
      onError: (key, error) => {
        options.queue?.onError?.(key, error);
        if (error instanceof StaleFenceError) over.resolve();
      },
    },
  );
  const objects = new Informer<T>(cluster, primary, (now, before) => queue.add(keyOf(now ?? before ?? {})), informer);
  const watched = owned.map(
    (source) =>
      new Informer(
        cluster,
        source,
        (now, before) => {
          for (const key of [ownerOf(now, primary), ownerOf(before, primary)]) if (key !== undefined) queue.add(key);
        },
        informer,
      ),
  );
  try {
    if (term.signal.aborted) return;
    await over.promise;
  } finally {
    term.signal.removeEventListener('abort', end);
    await queue.close();
    await Promise.all([objects, ...watched].map((each) => each[Symbol.asyncDispose]()));
  }
}

/** The key of the object that controls this one, if it is of the kind that we reconcile. */
function ownerOf(object: KubernetesObject | undefined, { apiVersion, kind }: Source): string | undefined {
  const { ownerReferences = [], namespace } = object?.metadata ?? {};
  const owner = ownerReferences.find((each) => each.controller && each.kind === kind && each.apiVersion === apiVersion);
  return owner && keyOf({ metadata: { name: owner.name, ...(namespace === undefined ? {} : { namespace }) } });
}
