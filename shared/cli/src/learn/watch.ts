import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type WatchOptions = {
  /** Milliseconds between looks at the files, for where no event comes (a network mount, WSL). Default 500. */
  readonly pollMs?: number;
  /** Milliseconds of silence after a change before it is told: an editor may write a file in steps. Default 60. */
  readonly settleMs?: number;
  /** Replaces `fs.watch`. */
  readonly watcher?: (dir: string, listener: () => void) => { close(): void };
};

/**
 * Calls `changed` when the content of a file below `dir` becomes another. Events of the system make it quick, polling
 * makes it sure; what counts is the content, so that saving a file unchanged is no change.
 */
export async function watchFolder(dir: string, changed: () => void, options: WatchOptions = {}): Promise<Disposable> {
  const { pollMs = 500, settleMs = 60, watcher = systemWatcher } = options;
  let known = await fingerprint(dir);
  let settle: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;
  let closed = false;

  const look = async () => {
    // What comes during a look may be too late for it.
    again = true;
    if (looking) return;
    looking = true;
    while (again && !closed) {
      again = false;
      const now = await fingerprint(dir);
      if (now === known || closed) continue;
      known = now;
      clearTimeout(settle);
      settle = setTimeout(changed, settleMs);
    }
    looking = false;
  };
  const events = watcher(dir, () => void look());
  const poll = setInterval(() => void look(), pollMs);
  return {
    [Symbol.dispose]() {
      closed = true;
      clearTimeout(settle);
      clearInterval(poll);
      events.close();
    },
  };
}

/** Where the system has no watcher to give, polling alone does. */
function systemWatcher(dir: string, listener: () => void): { close(): void } {
  let system: FSWatcher | undefined;
  try {
    system = watch(dir, { recursive: true }, listener);
    system.on('error', () => system?.close());
  } catch {
    return { close: () => {} };
  }
  return system;
}

/** Names and contents of all files; a file that vanishes while it is read simply does not count. */
async function fingerprint(dir: string): Promise<string> {
  const hash = createHash('sha1');
  const names = await readdir(dir, { recursive: true }).catch(() => []);
  for (const name of names.sort()) {
    const content = await readFile(join(dir, name)).catch(() => undefined);
    if (content) hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}
