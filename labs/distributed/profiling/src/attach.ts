import { setTimeout as delay } from 'node:timers/promises';
import { Attached } from './attached.ts';
import { DebuggerPresentError, PortTakenError, ProtocolError, TargetEndedError, TargetSilentError } from './errors.ts';
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
  try {
    const target = await readTarget(pid);
    mustTakeSignal(target);
    const before = await listeners(pid);
    signal?.throwIfAborted();
    sendSignal(pid);
    const inspector = await opened(target, before, performance.now() + timeoutMs);
    if (!inspector) throw await whyNot(target, before, timeoutMs);
    const attached = new Attached(pid, inspector, () => closeInspector(inspector));
    if (signal?.aborted) await attached.detach();
    signal?.throwIfAborted();
    return attached;
  } catch (error) {
    // Whoever has aborted gets his reason, whatever else is true by then.
    signal?.throwIfAborted();
    throw error;
  }
}

/** Waits for a port that was not there before, and for the process behind it to say that it is the right one. */
async function opened(target: Target, before: readonly Listener[], deadline: number): Promise<Inspector | undefined> {
  const known = new Set(before.map(({ inode }) => inode));
  while (performance.now() < deadline) {
    const soon = Math.min(deadline, performance.now() + 500);
    const now = await listeners(target.pid);
    const fresh = now.filter(({ inode }) => !known.has(inode));
    const inspector = await inspectorAmong(fresh, target, soon);
    if (inspector) return inspector;
    await delay(10);
  }
  return undefined;
}

/** The one of these ports behind which the target's inspector is. All are asked at once: one that keeps silent delays no other. */
export async function inspectorAmong(
  ports: readonly Listener[],
  { innerPid }: Target,
  deadline: number,
): Promise<Inspector | undefined> {
  const asked = ports.map(async (port) => {
    const inspector = await Inspector.open(port, deadline);
    const left = Math.max(1, deadline - performance.now());
    if (inspector && (await inspector.evaluate('process.pid', left).catch(() => undefined)) === innerPid)
      return inspector;
    inspector?.close();
    throw new ProtocolError(`Port ${port.port} is another's.`);
  });
  return Promise.any(asked).catch(() => undefined);
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
  const other = await inspectorAmong(before, target, performance.now() + 2000);
  if (other) {
    other.close();
    return new DebuggerPresentError(
      `The inspector of process ${pid} was open already: use that one, or close it first.`,
    );
  }
  const holder = await holderOf(inspectPort);
  if (holder && holder.pid !== pid) return new PortTakenError(pid, inspectPort, holder.pid);
  return new TargetSilentError(
    `Process ${pid} opened no inspector in ${timeoutMs} ms: it is very busy, or has a SIGUSR1 listener of its own. One that opens later stays open until the process ends.`,
  );
}

const CLOSE = "(process.getBuiltinModule ?? require)('node:inspector').close()";

/**
 * Closes the inspector from inside, which takes this session with it, and those of others: the target waits until they hang up.
 *
 * @throws TargetSilentError; ProtocolError when the target's code refused, and it is still open
 */
export async function closeInspector(inspector: Inspector, timeoutMs = 5000): Promise<void> {
  const answer = inspector.evaluate(CLOSE, timeoutMs);
  // No answer comes: the connection is closed first. Anything else is news.
  const failed = await Promise.race([
    inspector.closed.then(() => undefined),
    answer.then(
      () => undefined,
      (error) => error,
    ),
  ]);
  if (failed !== undefined && !(failed instanceof TargetEndedError)) {
    inspector.close();
    throw failed;
  }
  await inspector.closed;
}
