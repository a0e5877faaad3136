import { setTimeout as delay } from 'node:timers/promises';
import { type Random, random } from './random.ts';

export type Fault = 'kill' | 'pause' | 'partition';

/** What chaos needs of a server: @shared/services' Node has it. */
export interface FaultyNode {
  readonly index: number;
  kill(): Promise<void>;
  restart(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** What a partition needs: the proxy that the clients under test talk through. @shared/services' Proxy has it. */
export interface FaultyLink {
  partition(): void;
  heal(): void;
}

export interface ChaosOptions {
  /** Same seed, same schedule of faults (the instants follow the machine). */
  readonly seed: number;
  readonly nodes: readonly FaultyNode[];
  /** Never more nodes down, paused or cut off at once than this. */
  readonly atMostDown: number;
  readonly faults: readonly Fault[];
  /** Milliseconds between two events, from and to. */
  readonly everyMs: readonly [number, number];
  /** `links[i]` stands in front of `nodes[i]`. Needed for 'partition'. */
  readonly links?: readonly FaultyLink[];
  readonly signal?: AbortSignal;
}

export interface Chaos {
  /** Ends the schedule and heals every node. Rejects with the first error that a fault threw. */
  stop(): Promise<void>;
  /** One line an event, with its millisecond: evidence for a failing law. */
  readonly log: readonly string[];
}

/**
 * Breaks and heals nodes at random, by a seeded schedule, until stopped or aborted.
 * @throws {RangeError} when 'partition' is asked for without `links`, or `faults` is empty.
 */
export function chaos(options: ChaosOptions): Chaos {
  const { seed, nodes, atMostDown, faults, everyMs, links = [], signal } = options;
  if (faults.length === 0) throw new RangeError('chaos needs at least one fault: kill, pause or partition');
  if (faults.includes('partition') && links.length < nodes.length) {
    throw new RangeError(`a partition needs a proxy a node: ${links.length} links for ${nodes.length} nodes`);
  }
  const dice = random(seed);
  const start = performance.now();
  const log: string[] = [];
  const down = new Map<FaultyNode, Fault>();
  const halt = new AbortController();
  const stopped = signal ? AbortSignal.any([signal, halt.signal]) : halt.signal;
  const note = (text: string): void => void log.push(`${(performance.now() - start).toFixed(0)} ms ${text}`);

  const strike = async (node: FaultyNode, fault: Fault): Promise<void> => {
    down.set(node, fault);
    note(`${fault} node ${node.index}`);
    if (fault === 'kill') await node.kill();
    else if (fault === 'pause') await node.pause();
    else links[nodes.indexOf(node)]?.partition();
  };
  const heal = async (node: FaultyNode, fault: Fault): Promise<void> => {
    note(`${fault === 'kill' ? 'restart' : fault === 'pause' ? 'resume' : 'heal'} node ${node.index}`);
    if (fault === 'kill') await node.restart();
    else if (fault === 'pause') await node.resume();
    else links[nodes.indexOf(node)]?.heal();
    down.delete(node);
  };

  const schedule = (async () => {
    while (!stopped.aborted) {
      await delay(dice.int(everyMs[0], everyMs[1]), undefined, { signal: stopped }).catch(() => undefined);
      if (stopped.aborted) return;
      const event = choose(dice, nodes, down, atMostDown, faults);
      if (event) await (event.heals ? heal : strike)(event.node, event.fault);
    }
  })();
  // A fault that fails is reported by stop(); until then it must not become an unhandled rejection.
  schedule.catch(() => undefined);

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    halt.abort();
    const [ended] = await Promise.allSettled([schedule]);
    const healed = await Promise.allSettled([...down].map(([node, fault]) => heal(node, fault)));
    const failure = [ended, ...healed].find((each) => each.status === 'rejected');
    if (failure) throw failure.reason;
  };
  return {
    log,
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

function choose(
  dice: Random,
  nodes: readonly FaultyNode[],
  down: ReadonlyMap<FaultyNode, Fault>,
  atMostDown: number,
  faults: readonly Fault[],
): { node: FaultyNode; fault: Fault; heals: boolean } | undefined {
  const up = nodes.filter((node) => !down.has(node));
  const canStrike = up.length > 0 && down.size < atMostDown;
  if (canStrike && (down.size === 0 || dice.next() < 0.5)) {
    return { node: dice.pick(up), fault: dice.pick(faults), heals: false };
  }
  if (down.size === 0) return undefined;
  const [node, fault] = dice.pick([...down]);
  return { node, fault, heals: true };
}
