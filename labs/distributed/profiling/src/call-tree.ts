import type { Profiler } from 'node:inspector';
import { type CheckedProfile, checkProfile } from './check-profile.ts';

export interface Place {
  /** As V8 names it; `(anonymous)` when it has none. */
  readonly name: string;
  /** Empty for V8's own entries, such as `(idle)`. */
  readonly url: string;
  /** From 1; 0 for V8's own entries. */
  readonly line: number;
  /** From 1; 0 for V8's own entries. */
  readonly column: number;
  /** The same for the same function, and for no other. */
  readonly key: string;
}

/** One function as called along one path. All times are in microseconds. */
export interface Call extends Place {
  /** Time in which this function itself was on top of the stack. */
  readonly selfUs: number;
  /** Its own time and that of all it called. */
  readonly totalUs: number;
  /** Samples that found it on top. */
  readonly samples: number;
  readonly children: readonly Call[];
}

export interface CallTree {
  /** All work. Its children are the outermost functions, and V8's `(garbage collector)` and `(program)` where they were met. */
  readonly root: Call;
  /** Time in which the thread waited for something to do. No part of `root`. */
  readonly idleUs: number;
  /** Garbage collection, which is a part of `root`. */
  readonly gcUs: number;
  /** Samples that found work. */
  readonly samples: number;
}

/** @returns where a function of a profile is, with lines and columns that count from 1 */
export function placeOf({
  functionName,
  scriptId,
  url,
  lineNumber,
  columnNumber,
}: Profiler.Profile['nodes'][0]['callFrame']): Place {
  return {
    name: functionName || '(anonymous)',
    url,
    line: lineNumber + 1,
    column: columnNumber + 1,
    // Only V8 numbers its scripts: in the files of others all of them may be script 0.
    key: JSON.stringify([scriptId, url, lineNumber, columnNumber, functionName]),
  };
}

/** Whether an entry is V8's own, such as '(idle)': a function of that name in a script isn't. */
export function isOwn(
  { name, url, line }: Place,
  own: '(idle)' | '(garbage collector)' | '(program)' | '(root)',
): boolean {
  return name === own && url === '' && line === 0;
}

/**
 * The time of each sample: from its own moment to that of the next one, the last to the end of the run.
 * V8 takes samples in a thread of its own and may deliver one late: time never goes back.
 *
 * @returns microseconds, one a sample
 */
function sampleTimes({ timeDeltas }: CheckedProfile, { startTime, endTime }: Profiler.Profile): number[] {
  let at = startTime;
  let latest = startTime;
  const moments = timeDeltas.map((delta) => {
    at += delta;
    latest = Math.max(latest, at);
    return latest;
  });
  return moments.map((moment, index) => (moments[index + 1] ?? Math.max(latest, endTime)) - moment);
}

interface Growing extends Place {
  selfUs: number;
  totalUs: number;
  samples: number;
  children: Growing[];
}

interface Met {
  readonly call: Growing;
  readonly caller: Growing | undefined;
  readonly callees: Map<string, Met>;
}

/**
 * Adds up a CPU profile: who called whom, with what time of its own and in all. What V8 lists twice under one caller (a function
 * before and after it was optimised) is one. Waiting is counted apart.
 *
 * @throws InvalidProfileError when the profile contradicts itself
 */
export function callTree(profile: Profiler.Profile): CallTree {
  const checked = checkProfile(profile);
  const { nodes, top } = checked;
  const own = new Map<number, { us: number; samples: number }>();
  const times = sampleTimes(checked, profile);
  for (const [index, id] of checked.samples.entries()) {
    const sum = own.get(id) ?? { us: 0, samples: 0 };
    own.set(id, { us: sum.us + (times[index] ?? 0), samples: sum.samples + 1 });
  }
  let idleUs = 0;
  let gcUs = 0;
  let samples = 0;
  const made: Met[] = [];
  const meet = (place: Place, caller?: Growing): Met => {
    const call: Growing = { ...place, selfUs: 0, totalUs: 0, samples: 0, children: [] };
    const met = { call, caller, callees: new Map<string, Met>() };
    caller?.children.push(call);
    made.push(met);
    return met;
  };
  // No recursion, since a profile may be deeper than the stack of whoever reads it.
  const all = meet(placeOf(top.callFrame));
  const next = [{ met: all, node: top }];
  for (const { met, node } of next) {
    const mine = own.get(node.id) ?? { us: 0, samples: 0 };
    met.call.selfUs += mine.us;
    met.call.samples += mine.samples;
    samples += mine.samples;
    for (const id of node.children ?? []) {
      const child = nodes.get(id);
      if (!child) continue;
      const place = placeOf(child.callFrame);
      if (isOwn(place, '(idle)')) {
        idleUs += own.get(id)?.us ?? 0;
        continue;
      }
      const callee = met.callees.get(place.key) ?? meet(place, met.call);
      met.callees.set(place.key, callee);
      next.push({ met: callee, node: child });
    }
  }
  // Whoever is called was met after its caller: backwards, each total is whole before it is handed on.
  for (const { call, caller } of made.toReversed()) {
    call.totalUs += call.selfUs;
    if (caller) caller.totalUs += call.totalUs;
    if (isOwn(call, '(garbage collector)')) gcUs += call.totalUs;
  }
  return { root: all.call, idleUs, gcUs, samples };
}
