import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { promisify } from 'node:util';

interface Seen {
  pid: number;
  parent: number;
  /** Attached to a terminal: a person's shell that looks inside, never a server of ours. */
  person: boolean;
  ours: boolean;
}

/**
 * The processes that live in `folder`: those whose working directory lies in it, and their descendants.
 *
 * A folder is a safer mark than a process id: it is known before the process exists, holds from its first instruction,
 * and is never recycled. (An environment variable would do too, but Redis and Postgres overwrite theirs.)
 */
export async function processesIn(folder: string): Promise<number[]> {
  const all = process.platform === 'linux' ? fromProc(folder) : await fromPs(folder);
  const ours = new Set(all.filter((one) => one.ours).map((one) => one.pid));
  for (let before = -1; before !== ours.size; ) {
    before = ours.size;
    for (const one of all) if (ours.has(one.parent)) ours.add(one.pid);
  }
  return all.filter((one) => ours.has(one.pid) && !one.person && one.pid !== process.pid).map((one) => one.pid);
}

function fromProc(folder: string): Seen[] {
  const seen: Seen[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const ours = livesIn(pid, folder);
      if (ours !== undefined) seen.push({ pid, ...lineage(pid), ours });
    } catch {
      // It ended while we looked.
    }
  }
  return seen;
}

/** undefined: no, and its children need not be followed. */
function livesIn(pid: number, folder: string): boolean | undefined {
  try {
    return within(homeOf(pid), folder) ? true : undefined;
  } catch {
    // Root without CAP_SYS_PTRACE (a container) may not look at a process that it started as another user.
    if (process.geteuid?.() !== 0) return undefined;
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(folder);
  }
}

/** Who is killed has no home any more, while threads of his still have his ports and files. */
function homeOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      try {
        return readlinkSync(`/proc/${pid}/task/${thread}/cwd`);
      } catch {
        // The next one may have it.
      }
    }
    throw error;
  }
}

/** From /proc/PID/stat: "pid (any name) state parent group session terminal …". */
function lineage(pid: number): { parent: number; person: boolean } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [, parent, , , terminal] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(parent), person: terminal !== '0' };
}

async function fromPs(folder: string): Promise<Seen[]> {
  const run = promisify(execFile);
  const [ps, lsof] = await Promise.all([
    run('ps', ['-axo', 'pid=,ppid=,tty=,command=']),
    // lsof exits 1 when it could not look at some process: what it did print still counts.
    run('lsof', ['-w', '-n', '-P', '-d', 'cwd', '-Fpn']).catch((error: { stdout?: string }) => ({
      stdout: error.stdout ?? '',
    })),
  ]);
  return parsePs(ps.stdout, parseLsof(lsof.stdout), folder);
}

/** Field output of `lsof -Fpn`: a line `p<pid>`, then `n<path>`. */
export function parseLsof(output: string): Map<number, string> {
  const homes = new Map<number, string>();
  let pid = 0;
  for (const line of output.split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1));
    else if (line.startsWith('n')) homes.set(pid, line.slice(1));
  }
  return homes;
}

/** Lines of `ps -axo pid=,ppid=,tty=,command=`. */
export function parsePs(output: string, homes: ReadonlyMap<number, string>, folder: string): Seen[] {
  return output.split('\n').flatMap((line) => {
    const [, pid, parent, tty, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    if (pid === undefined || tty === undefined || command === undefined) return [];
    const home = homes.get(Number(pid));
    const ours = (home !== undefined && within(home, folder)) || command.includes(folder);
    return [{ pid: Number(pid), parent: Number(parent), person: !/^\?+$|^-$/.test(tty), ours }];
  });
}

function within(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`) || path === `${folder} (deleted)`;
}
