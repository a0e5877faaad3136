import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** What can compute at once: for the machine, and for this process. */
export interface Cpu {
  /** Cores of the machine. Where it doesn't tell: as `logical`. */
  readonly physical: number;
  /** What the machine shows as processors: with SMT (hyper-threading) two or more for each core. Where it doesn't tell: ours. */
  readonly logical: number;
  /** Of those, how many this process may run on: `taskset`, `docker --cpuset-cpus`. */
  readonly affinity: number;
  /** Seconds of CPU per second that the control group grants (`docker --cpus 1.5`, a Kubernetes limit); undefined: no limit. */
  readonly quota: number | undefined;
  /** How many of ours can compute at once and all the time: the lesser of affinity and quota, whole, at least 1. */
  readonly effective: number;
}

/**
 * What this process can compute on, read anew at each call: a running container can be resized. On Linux from `/proc` and `/sys` (sched_setaffinity(2), `cpu.max` of control groups of version 2), elsewhere from `os`:
 * there is no quota to be had there. The quota of version 1 is not read: `os.availableParallelism()` knows it. Never throws.
 * @param root A directory that is taken for `/`: for tests.
 */
export function detectCpu(root = '/'): Cpu {
  const read = reader(root);
  const machine = readMachine(read);
  const affinity = readAffinity(read) ?? availableParallelism();
  // Every group on the way to ours holds: one that says `max` may lie in one that says 200 ms of each 100.
  const quotas = cpuGroups(read).flatMap((group) => quotaOf(read, group) ?? []);
  const quota = quotas.length > 0 ? Math.min(...quotas) : undefined;
  return { ...machine, affinity, quota, effective: effective(affinity, quota) };
}

/** A quota of 1.5 is one worker that is never held back, rather than two that stand still for a quarter of the time. */
export function effective(affinity: number, quota: number | undefined): number {
  return Math.max(1, Math.min(affinity, Math.floor(quota ?? affinity)));
}

/** Reads a file's text, trimmed; undefined when there is none. */
export const reader = (root: string) => (path: string) => {
  try {
    return readFileSync(join(root, path), 'utf8').trim();
  } catch {
    return undefined;
  }
};
type Read = ReturnType<typeof reader>;

/** @returns how many processors the kernel may put this process on; undefined when it doesn't say. */
export function readAffinity(read: Read): number | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read('proc/self/status') ?? '')?.[1];
  return parseCpuList(list)?.length;
}

/** The directories that may hold our quota: our control group and all groups around it. */
export function cpuGroups(read: Read): string[] {
  const path = /^0::(.*)$/m.exec(read('proc/self/cgroup') ?? '')?.[1];
  // From inside a container the path may be the host's, or begin with `..`: what isn't there is passed over.
  const names = path?.split('/').filter((name) => name !== '' && name !== '..') ?? [];
  return Array.from({ length: names.length + 1 }, (_, up) =>
    ['sys/fs/cgroup', ...names.slice(0, names.length - up)].join('/'),
  );
}

/** @returns the quota that one group sets, in cores: `cpu.max` says "150000 100000", or "max 100000" for none. */
export function quotaOf(read: Read, directory: string): number | undefined {
  const [, quota, period] = /^([1-9]\d{0,15}) ([1-9]\d{0,15})$/.exec(read(`${directory}/cpu.max`) ?? '') ?? [];
  return quota && period ? Number(quota) / Number(period) : undefined;
}

/** "0-2,5" is 0, 1, 2 and 5, as the kernel writes it; undefined for what is no such list. */
function parseCpuList(text: string | undefined): number[] | undefined {
  if (!text || !/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(text)) return undefined;
  return text.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
  });
}

/** The machine's cores, whoever may use them. */
export function readMachine(read: Read): { physical: number; logical: number } {
  const online = parseCpuList(read('sys/devices/system/cpu/online'));
  const topology = (cpu: number) => read(`sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`);
  const logical = online?.length ?? availableParallelism();
  return { physical: online ? new Set(online.map((cpu) => topology(cpu) ?? `${cpu}`)).size : logical, logical };
}
