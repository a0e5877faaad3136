/** Every error of this package; `instanceof` tells which, never its words. */
export abstract class ZooKeeperLockError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that no session, lock or write can be made from. */
export class InvalidArgumentError extends ZooKeeperLockError {}

/** No server of the connect string gave us a session in time. */
export class ConnectTimeoutError extends ZooKeeperLockError {}

/**
 * The connection broke, or there was none. What was asked may have been done all the same, its answer lost: whoever
 * asked for a change has to look.
 */
export class ConnectionLossError extends ZooKeeperLockError {}

/**
 * ZooKeeper has been silent for two thirds of the session timeout, or the connection broke. The session may go on, or end
 * without our hearing of it: who holds a lock has to stop now.
 */
export class SessionSuspendedError extends ZooKeeperLockError {}

/** ZooKeeper has ended the session and deleted its ephemeral nodes: its locks are lost. Connect anew. */
export class SessionExpiredError extends ZooKeeperLockError {}

/** The session was closed by `close()`. */
export class SessionClosedError extends ZooKeeperLockError {}

/** ZooKeeper refused the request: no permission, a quota, a path that is too long. `code` is ZooKeeper's own. */
export class RefusedError extends ZooKeeperLockError {
  readonly code: number;

  constructor(what: string, code: number, cause: unknown) {
    super(`ZooKeeper refused to ${what}: ${cause instanceof Error ? cause.message : (cause ?? code)}.`, { cause });
    this.code = code;
  }
}

/** The lock was not ours within `timeoutMs`. Our place in the queue is given up. */
export class LockTimeoutError extends ZooKeeperLockError {
  /** How many stood before us when we looked last; undefined if ZooKeeper could not be asked. */
  readonly ahead: number | undefined;

  constructor(path: string, timeoutMs: number, ahead: number | undefined) {
    const seen = ahead === undefined ? 'ZooKeeper could not be asked' : `${ahead} before us`;
    super(`${path}: not acquired within ${timeoutMs} ms (${seen}). Wait longer, or say that it is taken.`);
    this.ahead = ahead;
  }
}

/** Somebody else has deleted our place in the queue. */
export class LockLostError extends ZooKeeperLockError {}

/** The node has data that FencedStore did not write. */
export class ForeignDataError extends ZooKeeperLockError {}
