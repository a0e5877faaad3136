// Flaw: the object is written as a whole: what others have put into it is gone.
// Seen in: https://github.com/stacklok/toolhive/issues/4767
// Caught by: what others have written into an object stays, and what is no longer wanted goes
import { admit, stamped } from '../src/fence.ts';
import type { Author, Cluster, Desired } from '../src/index.ts';

export * from '../src/index.ts';

export async function applyFenced(
  cluster: Cluster,
  desired: Desired,
  author: Author,
): Promise<'changed' | 'unchanged'> {
  const found = await cluster.find(desired);
  if (found === undefined) {
    await cluster.create(stamped(desired, author));
    return 'changed';
  }
  admit(found, desired, author);
  const version = found.metadata?.resourceVersion;
  const written = await cluster.replace(stamped(desired, author, version));
  return written.metadata?.resourceVersion === version ? 'unchanged' : 'changed';
}
