import type { Problem } from './errors.ts';
import type { Mount } from './plugin.ts';

/**
 * What is wrong with a list of mounts before anything runs: avvio loads in the order of the list, and would find out about
 * a dependency in the middle of the start, about one thing at a time.
 */
export function wiringProblems(mounts: readonly Mount[]): Problem[] {
  return [...placeProblems(mounts), ...dependencyProblems(mounts)];
}

function placeProblems(mounts: readonly Mount[]): Problem[] {
  const problems: Problem[] = [];
  const taken = new Set<string>();
  for (const { name, prefix, title } of mounts) {
    if (prefix !== undefined && !isPrefix(prefix)) {
      const message = 'a prefix is a path, begins with a slash and ends without one: /fish';
      problems.push({ kind: 'prefix', plugin: title, message });
    }
    if (taken.has(title)) {
      const message =
        prefix === undefined
          ? `two plugins named ${name} on one hall: mount one of them`
          : 'mounted twice in one place: give each its own prefix';
      problems.push({ kind: 'twice', plugin: title, message });
    }
    taken.add(title);
  }
  return problems;
}

/** What a request can ask for: no wildcard, no dots that a client resolves, nothing that stands only encoded in a path. */
const isPrefix = (prefix: string): boolean =>
  /^(\/[^/\\\s?#%*\p{C}]+)+$/u.test(prefix) && !/\/\.{1,2}(\/|$)/.test(prefix);

function dependencyProblems(mounts: readonly Mount[]): Problem[] {
  const problems: Problem[] = [];
  const ofTheHall = new Map<string, { readonly place: number; readonly mount: Mount }>();
  for (const [place, mount] of mounts.entries()) {
    if (mount.prefix === undefined && !ofTheHall.has(mount.name)) ofTheHall.set(mount.name, { place, mount });
  }
  const cycles = new Set<string>();
  for (const [place, { name, title, dependencies, prefix }] of mounts.entries()) {
    for (const dependency of dependencies) {
      const found = ofTheHall.get(dependency);
      if (found && found.place < place) continue;
      if (!found) {
        const stall = mounts.find((each) => each.name === dependency);
        const message = stall
          ? `depends on ${dependency}, which is mounted at ${stall.prefix} alone: mount it without a prefix`
          : `depends on ${dependency}, which is not mounted: add it, before ${name}`;
        problems.push({ kind: 'missing', plugin: title, message });
        continue;
      }
      const back = prefix === undefined ? wayTo(name, dependency, ofTheHall) : undefined;
      if (!back) {
        const message = `depends on ${dependency}, which is mounted after it: move it before ${name}`;
        problems.push({ kind: 'order', plugin: title, message });
        continue;
      }
      const key = [...back].sort().join(' ');
      if (cycles.has(key)) continue;
      cycles.add(key);
      const message = `a cycle, ${[name, ...back].join(' → ')}: put what both need into a third one`;
      problems.push({ kind: 'cycle', plugin: title, message });
    }
  }
  return problems;
}

/** The names from `from` to `goal` along dependencies, a shortest way, both included; undefined when there is none. */
function wayTo(
  goal: string,
  from: string,
  mounts: ReadonlyMap<string, { readonly mount: Mount }>,
): readonly string[] | undefined {
  // Each name, and by which one it was come to; what is found grows in front of the loop.
  const found = new Map<string, string | undefined>([[from, undefined]]);
  for (const name of found.keys()) {
    if (name === goal) {
      const way: string[] = [];
      for (let step: string | undefined = goal; step !== undefined; step = found.get(step)) way.unshift(step);
      return way;
    }
    for (const next of mounts.get(name)?.mount.dependencies ?? []) if (!found.has(next)) found.set(next, name);
  }
  return undefined;
}
