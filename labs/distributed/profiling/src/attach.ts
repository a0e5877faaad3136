import { setTimeout as delay } from 'node:timers/promises';
import { Attached } from './attached.ts';
import { DebuggerPresentError, PortTakenError, TargetSilentError } from './errors.ts';
import { Inspector } from './inspector.ts';
import { duration } from './limits.ts';
import { holderOf, type Listener, listeners, mustTakeSignal, readTarget, type Target, typed } from './target.ts';

export interface AttachOptions {
  /** How long to wait for the inspector to open, in milliseconds. Default 5000. */
  readonly timeoutMs?: number;
  /**
   * Ends the call with its reason. A signal that was sent cannot be taken back: the call then waits, at most `timeoutMs`, until
   * it can close what it has opened.
   */
  readonly signal?: AbortSignal;
}

/**
 * Opens the inspector of a running Node.js process that was not prepared for it, by SIGUSR1, and connects to it: the port is
 * one that this very process has begun to listen on, and it must say that it is the one asked for.
 *
 * @throws NoSuchProcessError, NotNodeError, SignalDisabledError, PermissionDeniedError, UnreachableError, PortTakenError,
 *   DebuggerPresentError, TargetSilentError, InvalidArgumentError
 */
export async function attach(pid: number, { timeoutMs = 5000, signal }: AttachOptions = {}): Promise<Attached> {
  duration(timeoutMs, 'timeoutMs');
  const target = await readTarget(pid);
  mustTakeSignal(target);
  const before = await listeners(pid);
  signal?.throwIfAborted();
  sendSignal(pid);
  const inspector = await opened(target, before, performance.now() + timeoutMs);
  if (!inspector) throw await whyNot(target, before, timeoutMs);
  const attached = new Attached(pid, inspector, () => closeInspector(inspector));
  if (!signal?.aborted) return attached;
  await attached.detach();
  throw signal.reason;
}

/** Waits for a port that was not there before, and for the process behind it to say that it is the right one. */
async function opened(target: Target, before: readonly Listener[], deadline: number): Promise<Inspector | undefined> {
  const known = new Set(before.map(({ inode }) => inode));
  while (performance.now() < deadline) {
    const now = await listeners(target.pid);
    const fresh = now.filter(({ inode }) => !known.has(inode));
    const inspector = await inspectorAmong(fresh, target, deadline);
    if (inspector) return inspector;
    await delay(10);
  }
  return undefined;
}

/** The one of these ports behind which the target's inspector is. */
export async function inspectorAmong(
  ports: readonly Listener[],
  { innerPid }: Target,
  deadline: number,
): Promise<Inspector | undefined> {
  for (const port of ports) {
    const inspector = await Inspector.open(port, deadline);
    if (!inspector) continue;
    const left = Math.max(1, deadline - performance.now());
    if ((await inspector.evaluate('process.pid', left).catch(() => undefined)) === innerPid) return inspector;
    inspector.close();
  }
  return undefined;
}

/** Asks a process to open its inspector. @throws NoSuchProcessError, PermissionDeniedError */
export function sendSignal(pid: number): void {
  try {
    process.kill(pid, 'SIGUSR1');
  } catch (error) {
    throw typed(pid, error);
  }
}

/** Why no inspector came: it was open before, its port is another's, or the process keeps silent. */
export async function whyNot(target: Target, before: readonly Listener[], timeoutMs: number): Promise<Error> {
  const { pid, inspectPort } = target;
  const other = await inspectorAmong(before, target, performance.now() + 1000);
  if (other) {
    other.close();
    return new DebuggerPresentError(
      `The inspector of process ${pid} was open already: use that one, or close it first.`,
    );
  }
  const holder = inspectPort === 0 ? undefined : await holderOf(inspectPort);
  if (holder && holder.pid !== pid) return new PortTakenError(pid, inspectPort, holder.pid);
  return new TargetSilentError(
    `Process ${pid} opened no inspector in ${timeoutMs} ms: it may be stopped, very busy, or have a SIGUSR1 listener of its own.`,
  );
}

/** Closes the inspector from inside, which takes this session with it. @throws TargetSilentError */
export async function closeInspector(inspector: Inspector, timeoutMs = 5000): Promise<void> {
  const answer = inspector.evaluate("process.getBuiltinModule('node:inspector').close()", timeoutMs);
  // No answer comes: the connection is closed first. Only silence is news.
  const silent = await Promise.race([
    inspector.closed.then(() => undefined),
    answer.then(
      () => undefined,
      (error) => error,
    ),
  ]);
  if (silent instanceof TargetSilentError) {
    inspector.close();
    throw silent;
  }
  await inspector.closed;
}
