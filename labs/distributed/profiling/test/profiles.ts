import type { Profiler } from 'node:inspector';

/** A function in a tree of samples: `self` samples of its own, 1 ms each, and what it calls. */
export interface Drawn {
  readonly name: string;
  readonly self?: number;
  readonly calls?: readonly Drawn[];
  /** Its line, from 1: functions differ by it. 0: an entry of V8's own. Default 1. */
  readonly line?: number;
  readonly url?: string;
}

/** A profile as V8 writes it, with one sample a millisecond, out of a drawing. */
export function draw(...calls: readonly Drawn[]): Profiler.Profile {
  const nodes: Profiler.ProfileNode[] = [];
  const samples: number[] = [];
  const visit = ({ name, self = 0, calls = [], line = 1, url = 'file:///shop.ts' }: Drawn): number => {
    const id = nodes.length + 1;
    const own = line === 0;
    const node: Profiler.ProfileNode = {
      id,
      callFrame: {
        functionName: name,
        scriptId: own ? '0' : url,
        url: own ? '' : url,
        lineNumber: line - 1,
        columnNumber: own ? -1 : 0,
      },
      hitCount: self,
    };
    nodes.push(node);
    for (let sample = 0; sample < self; sample++) samples.push(id);
    node.children = calls.map(visit);
    return id;
  };
  visit({ name: '(root)', line: 0, calls });
  const timeDeltas = samples.map((_, index) => (index === 0 ? 0 : 1000));
  return { nodes, samples, timeDeltas, startTime: 5000, endTime: 5000 + 1000 * samples.length };
}
