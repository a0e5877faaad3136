import type { Profiler } from 'node:inspector';
import { InvalidProfileError } from './errors.ts';

export interface CheckedProfile {
  /** By id: each is there, and is called by one other, but for `top`. */
  readonly nodes: ReadonlyMap<number, Profiler.ProfileNode>;
  /** V8's (root), which nobody calls. */
  readonly top: Profiler.ProfileNode;
  /** Ids of nodes, each of which is there. */
  readonly samples: readonly number[];
  /** Microseconds since the sample before, the first since `startTime`: one a sample, all of them finite. */
  readonly timeDeltas: readonly number[];
}

/**
 * Reads a profile that may come from anywhere.
 *
 * @throws InvalidProfileError when its nodes are no tree, a sample names none of them, or the times are no times
 */
export function checkProfile(profile: Profiler.Profile): CheckedProfile {
  const { nodes, samples, timeDeltas, startTime, endTime } = profile ?? {};
  if (!Array.isArray(nodes) || !nodes.every(isNode)) {
    throw new InvalidProfileError(
      'The profile has no list of nodes, or one of them is none: each has a `callFrame` with texts and whole numbers.',
    );
  }
  if (!Array.isArray(samples) || !Array.isArray(timeDeltas) || samples.length !== timeDeltas.length) {
    throw new InvalidProfileError(
      `The profile has ${samples?.length ?? 'no'} samples and ${timeDeltas?.length ?? 'no'} deltas: there must be one a sample.`,
    );
  }
  const span = timeDeltas.reduce((all, delta) => all + Math.abs(delta), Math.abs(startTime) + Math.abs(endTime));
  if (!Number.isFinite(span) || ![startTime, endTime].every(Number.isFinite) || !timeDeltas.every(Number.isFinite)) {
    throw new InvalidProfileError('The profile has a time that is no finite number.');
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const lost = samples.find((id) => !byId.has(id));
  if (lost !== undefined) throw new InvalidProfileError(`A sample names node ${lost}, which is not there.`);
  const called = new Set(nodes.flatMap(({ children }) => children ?? []));
  const [top] = nodes.filter(({ id }) => !called.has(id));
  const reached = new Set<Profiler.ProfileNode | undefined>();
  const next = [top];
  for (const node of next) {
    if (!node || reached.has(node)) break;
    reached.add(node);
    for (const child of node.children ?? []) next.push(byId.get(child));
  }
  if (!top || reached.size !== nodes.length || next.length !== nodes.length) {
    throw new InvalidProfileError(
      'The nodes of the profile are no tree: one root, and each other one the child of one.',
    );
  }
  return { nodes: byId, top, samples, timeDeltas };
}

function isNode(node: Profiler.ProfileNode | null | undefined): boolean {
  const { functionName, url, lineNumber, columnNumber } = node?.callFrame ?? {};
  return (
    [functionName, url].every((text) => typeof text === 'string') &&
    [lineNumber, columnNumber].every(Number.isInteger) &&
    Array.isArray(node?.children ?? [])
  );
}
