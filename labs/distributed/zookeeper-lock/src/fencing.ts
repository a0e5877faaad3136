import { inspect } from 'node:util';
import { ForeignDataError } from './errors.ts';
import { assertData, assertFence, assertPath } from './options.ts';
import type { Session, ZNode } from './session.ts';

/** A value, and the fence of the lock under which it was written. */
export interface Fenced {
  readonly fence: bigint;
  readonly value: string;
}

/**
 * A store that refuses who comes too late: it keeps the fence with the value, and takes no write under an older one.
 *
 * No lock can stop a process that was paused in the middle of a write; the store can. Here it is ZooKeeper itself; with a
 * database it is a column, compared in the same statement: `UPDATE … SET fence = $1 WHERE fence <= $1`.
 * Source: Martin Kleppmann, https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
 */
export class FencedStore {
  protected readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** What is at `path`, as far as this session's server knows. @throws ConnectionLossError, ForeignDataError */
  async read(path: string): Promise<Fenced | undefined> {
    assertPath(path);
    const node = await this.session.get(path);
    return node && parse(path, node);
  }

  /**
   * Writes `value` under `fence`; `stale` if a newer one has been seen.
   *
   * @throws InvalidArgumentError; ForeignDataError when the node has data of somebody else.
   * @throws ConnectionLossError when it may or may not have been written: write again, the fence allows it.
   */
  async write(path: string, fence: bigint, value: string): Promise<'ok' | 'stale'> {
    assertPath(path);
    assertData('A value', value);
    assertFence(fence);
    const data = `${fence} ${value}`;
    for (;;) {
      const node = await this.session.get(path);
      if (node) {
        if (!this.admits(parse(path, node).fence, fence)) return 'stale';
        // Only if nobody has written since we looked: who is refused looks again.
        if (await this.session.set(path, data, node.version)) return 'ok';
      } else {
        const made = await this.session.create(path, data, 'PERSISTENT');
        if (made === 'no parent') await this.session.ensure(path.slice(0, path.lastIndexOf('/')));
        else if (made !== 'exists') return 'ok';
      }
    }
  }

  /** Whether a write under `fence` may follow one under `seen`. */
  protected admits(seen: bigint, fence: bigint): boolean {
    return fence >= seen;
  }
}

function parse(path: string, { data }: ZNode): Fenced {
  const [, fence, value] = /^(\d{1,19}) (.*)$/s.exec(data) ?? [];
  if (fence === undefined || value === undefined) {
    throw new ForeignDataError(`${path} has data that FencedStore did not write: ${inspect(data.slice(0, 60))}.`);
  }
  return { fence: BigInt(fence), value };
}
