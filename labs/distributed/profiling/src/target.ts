import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { inspect } from 'node:util';
import {
  InvalidArgumentError,
  NoSuchProcessError,
  NotNodeError,
  PermissionDeniedError,
  SignalDisabledError,
  TargetSilentError,
  UnreachableError,
} from './errors.ts';

/** A port that a process listens on. `inode` is the kernel's name for the socket: no other has it while this one is open. */
export interface Listener {
  readonly inode: string;
  readonly host: string;
  readonly port: number;
}

export interface Target {
  readonly pid: number;
  /** What `process.pid` is in there: another number in a container. */
  readonly innerPid: number;
  /** Whether SIGUSR1 opens its inspector (false: `--disable-sigusr1`, or not started far enough yet). */
  readonly takesSignal: boolean;
  readonly isNode: boolean;
  /** Where its inspector would open: from its command line or NODE_OPTIONS, else 9229; 0 is any free port. */
  readonly inspectPort: number;
}

/** The bit of SIGUSR1 (10) in the masks of /proc/PID/status. */
const SIGUSR1 = 1n << 9n;

/**
 * Looks at a process from outside. Nothing is sent to it.
 *
 * @throws NoSuchProcessError, PermissionDeniedError, UnreachableError, InvalidArgumentError; TargetSilentError when it is
 *   stopped: it would open its inspector when it goes on, and nobody would be there to close it
 */
export async function readTarget(pid: number): Promise<Target> {
  if (!Number.isInteger(pid) || pid <= 0 || pid > 2 ** 31 - 1) {
    throw new InvalidArgumentError(`\`pid\` is ${inspect(pid)}: give the id of a process.`);
  }
  if (pid === process.pid) {
    throw new InvalidArgumentError('`pid` is this very process, which would wait for itself: use `profile`.');
  }
  if (process.platform !== 'linux') {
    throw new UnreachableError(
      'attach finds a process by /proc, which only Linux has: start yours with --inspect and use DevTools.',
    );
  }
  return reading(pid, async () => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    if (/^State:\s+[ZX]/m.test(status)) throw gone(pid);
    const leader = Number(/^Tgid:\s+(\d+)$/m.exec(status)?.[1] ?? pid);
    if (leader !== pid) throw new NoSuchProcessError(`There is no process ${pid}: it is a thread of ${leader}.`);
    if (/^State:\s+[Tt]/m.test(status)) {
      throw new TargetSilentError(
        `Process ${pid} is stopped: it was sent nothing. Continue it first (kill -CONT ${pid}).`,
      );
    }
    const exe = basename(await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
    const options = environment.find((line) => line.startsWith('NODE_OPTIONS=')) ?? '';
    if ((await readlink(`/proc/${pid}/ns/net`)) !== (await readlink('/proc/self/ns/net'))) {
      throw new UnreachableError(`Process ${pid} is in another network namespace: run attach in its container.`);
    }
    return {
      pid,
      innerPid: Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? pid),
      takesSignal: (BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`) & SIGUSR1) !== 0n,
      isNode: /^node(js)?(-?v?\d[-.\w]*)?$/.test(exe) || exe === basename(process.execPath),
      inspectPort: inspectPort([...options.slice('NODE_OPTIONS='.length).split(/\s+/), ...command]),
    };
  });
}

/**
 * Refuses whoever would not take SIGUSR1 for a request to open an inspector: it ends a process that has no handler for it.
 *
 * @throws NotNodeError, SignalDisabledError
 */
export function mustTakeSignal({ pid, isNode, takesSignal }: Target): void {
  if (!isNode) throw new NotNodeError(`Process ${pid} is not Node.js: SIGUSR1 could end it, so it was not sent.`);
  if (!takesSignal) {
    throw new SignalDisabledError(
      `Process ${pid} does not listen for SIGUSR1 (--disable-sigusr1, or just started): it was not sent. Start it without, or with --inspect.`,
    );
  }
}

/**
 * What a process listens on: the sockets among its open files that the kernel lists as listening.
 *
 * @throws NoSuchProcessError, PermissionDeniedError
 */
export function listeners(pid: number): Promise<Listener[]> {
  return reading(pid, async () => {
    const open = await sockets(pid);
    return (await listening(pid)).filter(({ inode }) => open.has(inode));
  });
}

/** Who listens on a port of this machine, as far as we may see it. */
export async function holderOf(port: number): Promise<{ pid: number | undefined } | undefined> {
  const taken = (await listening('self')).filter((listener) => listener.port === port);
  if (taken.length === 0) return undefined;
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const open = await sockets(pid).catch(() => new Set());
    if (taken.some(({ inode }) => open.has(inode))) return { pid };
  }
  return { pid: undefined };
}

/** The inodes of the sockets among the open files of a process. */
async function sockets(pid: number): Promise<Set<string>> {
  const files = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')));
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

/** The listening sockets of a network namespace, by the process that is in it. */
async function listening(pid: number | 'self'): Promise<Listener[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '')),
  );
  return tables.flatMap((table) =>
    table.split('\n').flatMap((line) => {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      const [address = '', port = ''] = local.split(':');
      if (state !== '0A' || inode === undefined) return [];
      return [{ inode, host: hostOf(address), port: Number.parseInt(port, 16) }];
    }),
  );
}

/** How to reach an address of /proc/net/tcp: 4 bytes in the order of the machine, or 16, of which any-address and loopback matter. */
function hostOf(hex: string): string {
  if (hex.length !== 8) return '[::1]';
  const bytes = (hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).reverse();
  return bytes.every((byte) => byte === 0) ? '127.0.0.1' : bytes.join('.');
}

/** Node lets the last option win; `--inspect-port=0.0.0.0:9230` names a host, too. */
function inspectPort(options: readonly string[]): number {
  let port = 9229;
  for (const option of options) {
    const value = /^--(?:inspect|debug)(?:-port|-brk|-wait)?=(?:.*:)?(\d+)$/.exec(option)?.[1];
    if (value !== undefined) port = Number(value);
  }
  return port;
}

const gone = (pid: number, cause?: unknown) =>
  new NoSuchProcessError(`There is no process ${pid}: it has ended, or never was.`, { cause });

/** @throws what the system says of a process, typed */
async function reading<T>(pid: number, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw typed(pid, error);
  }
}

/** An error of the system about a process, as one of ours; anything else as it is. */
export function typed(pid: number, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ESRCH') return gone(pid, error);
  if (code === 'EACCES' || code === 'EPERM') {
    const message = `Process ${pid} belongs to another user: attach as that user, or as root.`;
    return new PermissionDeniedError(message, { cause: error });
  }
  return error;
}
