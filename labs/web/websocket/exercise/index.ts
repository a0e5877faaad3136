import type { IncomingMessage } from 'node:http';
import {
  type Admission,
  type Connection,
  ChannelLayer as GivenChannelLayer,
  ConsumerServer as GivenConsumerServer,
  Presence as GivenPresence,
  type Group,
  type JsonValue,
  type Message,
  type PresenceEntry,
  type Seat,
} from '../src/index.ts';

// Yours is what decides: which messages a member gets, who gets a socket, when one is closed, who is there. Given, in src/:
// the connections to Redis, the life of a socket and its consumer, the errors. The re-exports below bring no name into this
// file: import what you need from '../src/index.ts'. `h` in `pnpm lab learn websocket` gives a hint.
export {
  type Admission,
  BackgroundError,
  bearerToken,
  ChannelError,
  type ChannelLayerOptions,
  ClosedError,
  Connection,
  type Consumer,
  type ConsumerServerOptions,
  type Group,
  InvalidArgumentError,
  isBefore,
  type JoinOptions,
  type JsonValue,
  type Member,
  Message,
  type PresenceEntry,
  type PresenceOptions,
  type Seat,
  UnavailableError,
} from '../src/index.ts';

/**
 * Given: `send` and `join` look at their arguments and call what is below. A loop reads from Redis what comes after
 * `cursors()`, and gives it to `pump`. And
 * - `this.streams`: `append(group, json)` adds a message, and resolves with its id; `history(group, after)` resolves with
 *   `{ messages, last }`: the next page of those behind the id `after`, empty if there is none, and the id of the newest one
 *   that the group has;
 * - `this.groups`, a Map from names to groups. A group has `name`, `cursor` (up to this id the process has read it; undefined
 *   until that is known) and `seats`, a Map from members to seats. A seat has its `member`, `last` (the id that it was given
 *   last) and `live` (it is told what is read; until then `catchUp` tells it. Who joins without `after` is live
 *   at once);
 * - a message has `group`, `id` and `prev`, the id of the one before it in its group; `isBefore(id, other)` compares two ids;
 * - `this.tell(() => …)` calls a member's `deliver(message)` or `resync(group)`, and reports what it throws.
 */
export class ChannelLayer extends GivenChannelLayer {
  /** @returns the id that the message has got */
  protected override publish(_group: string, _json: string): Promise<string> {
    return todo('publish');
  }

  /** What the process has read: each group's messages in their order. Maybe of a group that nobody is in any more. */
  protected override pump(_messages: readonly Message[]): void {
    throw new Error(missing('pump'));
  }

  /** From which id each group is to be read on; without those whose `cursor` is undefined. */
  protected override cursors(): Map<string, string> {
    throw new Error(missing('cursors'));
  }

  /**
   * Delivers what came after `seat.last`, page by page, and makes the seat live when it is where the process is. Between two
   * pages it waits for `seat.member.drained?.()`. If Redis has lost what the process has read, it ends all the same. Hardening
   * law: a member that has left meanwhile (`group.seats` has another seat for it, or none) is told nothing.
   */
  protected override catchUp(_group: Group, _seat: Seat): Promise<void> {
    return todo('catchUp');
  }

  /** One message for one seat: unless it had it. `member.resync(group)` comes first if one in between is missing. */
  protected override deliver(_seat: Seat, _message: Message): void {
    throw new Error(missing('deliver'));
  }

  /** What `seat` has seen last is gone, and nothing came after it: it goes on at `last`, and is told to resync. */
  protected override lost(_group: Group, _seat: Seat, _last: string): void {
    throw new Error(missing('lost'));
  }
}

/**
 * Given: a request to upgrade is answered by what `admit` decides, a socket lives with its consumer, and
 * - `this.origins`, a Set: whose pages may connect; `await this.authenticate(request)`: who it is, or undefined;
 * - `this.connections`, a Set. A connection has `socket` (of the package ws: `bufferedAmount`, `send`, `ping()`, `terminate()`,
 *   `isPaused`), `open` and `answered`, which is set whenever something has come from the client;
 * - `this.hangUp(connection, code, reason)` says goodbye, and cuts off who doesn't answer that;
 * - `this.maxBufferedBytes`. What is longer than `maxPayloadBytes` never arrives: ws closes its sender with 1009.
 */
export class ConsumerServer<User> extends GivenConsumerServer<User> {
  /** `{ user }`, or `{ status }`: 403 for a foreign Origin, whoever it is, and 401 for nobody. Programs send no Origin. */
  protected override admit(_request: IncomingMessage): Promise<Admission<User>> {
    return todo('admit');
  }

  /** `{ content }` of a JSON text. Binary data ends in 1003, what is no JSON in 1007; then undefined is returned. */
  protected override parse(_: Connection<User>, _data: string, _isBinary: boolean): { content: JsonValue } | undefined {
    throw new Error(missing('parse'));
  }

  /** `socket.send(frame, { binary: false })`, unless more than `maxBufferedBytes` would wait then: 1013. Or if it isn't open. */
  protected override write(_connection: Connection<User>, _frame: Buffer): void {
    throw new Error(missing('write'));
  }

  /** Every `heartbeatMs`. Who hasn't answered the last ping is cut off. Hardening law: one that we have paused can't answer. */
  protected override beat(): void {}
}

/**
 * Given: `beat` is called three times in `ttlMs`; what it rejects with is reported. And
 * - `this.entries`, an empty Set, for what entered here, each `{ group, who, id }`: `close` leaves for them;
 * - `await this.renew(group, entries)`: these are there for `ttlMs` from now on, in Redis;
 * - `await this.remove(entry)` takes one out of Redis;
 * - `await this.read(group)`: what Redis has, `{ who, leftMs }` for each; 0 or less is left of one whose time is up.
 */
export class Presence extends GivenPresence {
  /** With an `id` of its own: who has two tabs is there twice. Hardening laws: see `refuseBadName` in src/channel-layer.ts. */
  override enter(_group: string, _who: string): Promise<PresenceEntry> {
    return todo('enter');
  }

  override leave(_entry: PresenceEntry): Promise<void> {
    return todo('leave');
  }

  /** Each name once, sorted. */
  override list(_group: string): Promise<string[]> {
    return todo('list');
  }

  protected override beat(): Promise<void> {
    return todo('beat');
  }
}

const missing = (name: string) => `${name} is not written yet: its comment in attempt/index.ts is the task.`;

async function todo(name: string): Promise<never> {
  throw new Error(missing(name));
}
