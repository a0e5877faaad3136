import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';

/** What can compute at once: for the machine, and for this process. */
export interface Cpu {
  /** Cores of the machine. Where it doesn't tell: as `logical`. */
  readonly physical: number;
  /** What the machine shows as processors: with SMT (hyper-threading) two or more for each core. */
  readonly logical: number;
  /** Of those, how many this process may run on: `taskset`, `docker --cpuset-cpus`. */
  readonly affinity: number;
  /** Seconds of CPU per second that the control group grants (`docker --cpus 1.5`, a Kubernetes limit); undefined: no limit. */
  readonly quota: number | undefined;
  /** How many of ours can compute at once and all the time: the lesser of affinity and quota, whole, at least 1. */
  readonly effective: number;
}

/**
 * What this process can compute on, read anew at each call: a running container can be resized.
 *
 * On Linux from `/proc` and `/sys` (sched_setaffinity(2), the kernel's cgroup-v2 `cpu.max` and cgroup-v1 CFS bandwidth
 * control), elsewhere from `os` and, on macOS, `sysctl`: there is no quota to be had there. Never throws.
 * @param root A directory that is taken for `/`: for tests.
 */
export function detectCpu(root = '/'): Cpu {
  const read = reader(root);
  const machine = readMachine(read);
  const affinity = readAffinity(read) ?? availableParallelism();
  const quota = readQuota(read);
  return { ...machine, affinity, quota, effective: effective(affinity, quota) };
}

/** A quota of 1.5 is one worker that is never held back, rather than two that stand still for a quarter of the time. */
export function effective(affinity: number, quota: number | undefined): number {
  return Math.max(1, Math.min(affinity, Math.floor(quota ?? affinity)));
}

/** A file's text; undefined when there is none. */
export type Read = (path: string) => string | undefined;

export const reader =
  (root: string): Read =>
  (path) => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return undefined;
    }
  };

/** @returns how many processors the kernel may put this process on; undefined when it doesn't say. */
export function readAffinity(read: Read): number | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read('proc/self/status') ?? '')?.[1];
  return parseCpuList(list)?.length;
}

/**
 * @returns the tightest quota on the way from our control group to the root, in cores; undefined when there is none.
 * Every group on that way holds: one that says `max` may lie in one that says 200 ms of each 100.
 */
function readQuota(read: Read): number | undefined {
  let tightest: number | undefined;
  for (const directory of cpuGroups(read)) {
    const quota = quotaOf(read, directory);
    if (quota !== undefined) tightest = Math.min(quota, tightest ?? quota);
  }
  return tightest;
}

/** The directories that may hold our quota: our control group and all groups around it, version 2 and version 1. */
export function cpuGroups(read: Read): string[] {
  const directories: string[] = [];
  for (const line of (read('proc/self/cgroup') ?? '').split('\n')) {
    const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    const version2 = id === '0' && controllers === '';
    // Not a search for the text: `cpuset` and `cpuacct` are controllers of their own.
    if (!version2 && !controllers.split(',').includes('cpu')) continue;
    const mounts = version2 ? ['', '/unified'] : ['/cpu', `/${controllers}`];
    // From inside a container the path may be the host's, or begin with `..`: what isn't there is passed over.
    const names = path.split('/').filter((name) => name !== '' && name !== '.' && name !== '..');
    for (const mount of new Set(mounts)) {
      for (let depth = names.length; depth >= 0; depth--) {
        directories.push([`sys/fs/cgroup${mount}`, ...names.slice(0, depth)].join('/'));
      }
    }
  }
  return directories;
}

/** @returns the quota that one group sets, in cores: `cpu.max` says "150000 100000", version 1 says it in two files. */
export function quotaOf(read: Read, directory: string): number | undefined {
  const version1 = () =>
    `${read(`${directory}/cpu.cfs_quota_us`)?.trim()} ${read(`${directory}/cpu.cfs_period_us`)?.trim()}`;
  const text = read(`${directory}/cpu.max`)?.trim() ?? version1();
  // "max", and in version 1 "-1", is no limit.
  const [, quota, period] = /^([1-9]\d{0,15}) ([1-9]\d{0,15})$/.exec(text) ?? [];
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
  const online = parseCpuList(read('sys/devices/system/cpu/online')?.trim());
  if (!online) return askMachine();
  const topology = (cpu: number) => read(`sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`)?.trim();
  const siblings = online.map((cpu) => topology(cpu) ?? `${cpu}`);
  return { physical: new Set(siblings).size, logical: online.length };
}

function askMachine(): { physical: number; logical: number } {
  const logical = cpus().length || 1;
  if (process.platform !== 'darwin') return { physical: logical, logical };
  try {
    const said = execFileSync('sysctl', ['-n', 'hw.physicalcpu'], { encoding: 'utf8', timeout: 1_000 }).trim();
    return { physical: /^[1-9]\d{0,4}$/.test(said) ? Number(said) : logical, logical };
  } catch {
    return { physical: logical, logical };
  }
}
