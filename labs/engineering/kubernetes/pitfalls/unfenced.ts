// Flaw: whoever believes that it leads may write: a leader that slept through its end undoes what its successor has done.
// Seen in: https://github.com/golemcloud/golem/pull/3824
// Caught by: a leader that was paused changes nothing that its successor has written
import { PatchStrategy } from '@kubernetes/client-node';
import { stamped } from '../src/fence.ts';
import type { Author, Cluster, Desired } from '../src/index.ts';

export * from '../src/index.ts';

export async function applyFenced(
  cluster: Cluster,
  desired: Desired,
  author: Author,
): Promise<'changed' | 'unchanged'> {
  const found = await cluster.find(desired);
  const wanted = stamped(desired, author);
  const written = await cluster.patch(
    wanted,
    undefined,
    undefined,
    author.manager,
    true,
    PatchStrategy.ServerSideApply,
  );
  return written.metadata?.resourceVersion === found?.metadata?.resourceVersion ? 'unchanged' : 'changed';
}
