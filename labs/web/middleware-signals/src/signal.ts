import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/** Is told of what has happened, and by whom. */
export type Receiver<Payload, Sender = unknown> = (payload: Payload, sender: Sender) => unknown;

export interface ConnectOptions<Sender = unknown> {
  /** Hears of what this sender sends, and of nothing else; compared by `Object.is`. Left out: of everything. */
  readonly sender?: Sender;
  /**
   * Names the connection: a second one of this name, for the same sender, is not made. For code that may be run twice, as by
   * a module that is loaded under two paths. Default: the function itself.
   */
  readonly dispatchUid?: string | symbol;
}

/** What one receiver made of what it was told. */
export type Heard<Payload, Sender = unknown> =
  | { readonly receiver: Receiver<Payload, Sender>; readonly value: unknown }
  | { readonly receiver: Receiver<Payload, Sender>; readonly error: unknown };

interface Connection<Payload, Sender> {
  readonly receiver: Receiver<Payload, Sender>;
  readonly key: unknown;
  readonly to: { readonly sender: Sender } | undefined;
}

/**
 * Tells whoever wants to know, and knows none of them: Django's `Signal`
 * (https://docs.djangoproject.com/en/stable/topics/signals/), for receivers that may be asynchronous. They are told one after
 * the other, in the order of connecting. All get the very same payload: let its type be readonly.
 */
export class Signal<Payload, Sender = unknown> {
  readonly name: string;
  /** Never changed, but replaced: who is telling tells those of its beginning. */
  #connections: readonly Connection<Payload, Sender>[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** How many are connected. */
  get size(): number {
    return this.#connections.length;
  }

  /**
   * From the next `send` on `receiver` is told. The signal keeps it alive. Each call looks at all that are connected: made for
   * the receivers of a program, and not for one for each of ten thousand clients.
   * @returns takes this connection back; does nothing where there was one like it already
   * @throws InvalidArgumentError
   */
  connect(receiver: Receiver<Payload, Sender>, options: ConnectOptions<Sender> = {}): Disposable {
    if (typeof receiver !== 'function') {
      throw new InvalidArgumentError(
        `A receiver of ${this.name} is ${inspect(receiver, { depth: 0 })}: give a function.`,
      );
    }
    const to = this.#senderOf(options);
    const made: Connection<Payload, Sender> = { receiver, key: options.dispatchUid ?? receiver, to };
    if (!this.#connections.some((each) => isSame(each, made))) this.#connections = [...this.#connections, made];
    return {
      [Symbol.dispose]: () => {
        this.#connections = this.#connections.filter((each) => each !== made);
      },
    };
  }

  /**
   * Takes back what `connect` with the same receiver, or the same uid, and sender has made.
   * @returns whether there was one
   * @throws InvalidArgumentError for a sender that is undefined
   */
  disconnect(receiver: Receiver<Payload, Sender> | string | symbol, o: { readonly sender?: Sender } = {}): boolean {
    const to = this.#senderOf(o);
    const left = this.#connections.filter(({ key, to: other }) => !isSame({ key, to: other }, { key: receiver, to }));
    const found = left.length < this.#connections.length;
    this.#connections = left;
    return found;
  }

  /**
   * Tells one after the other. The first that throws is the last that is told: for receivers without which the work is not
   * done.
   * @returns what each has returned
   * @throws what a receiver throws
   */
  async send(payload: Payload, sender: Sender): Promise<unknown[]> {
    const values: unknown[] = [];
    for (const { receiver } of this.connectionsFor(sender)) values.push(await receiver(payload, sender));
    return values;
  }

  /** Tells everybody, whatever becomes of the others. Rejects never: look at what it returns. */
  async sendRobust(payload: Payload, sender: Sender): Promise<Heard<Payload, Sender>[]> {
    const heard: Heard<Payload, Sender>[] = [];
    for (const { receiver } of this.connectionsFor(sender)) {
      try {
        heard.push({ receiver, value: await receiver(payload, sender) });
      } catch (error) {
        heard.push({ receiver, error });
      }
    }
    return heard;
  }

  /** One that was meant to be there and isn't would be everybody. */
  #senderOf(options: { readonly sender?: Sender }): { readonly sender: Sender } | undefined {
    if (!('sender' in options)) return undefined;
    const { sender } = options;
    if (sender !== undefined) return { sender };
    throw new InvalidArgumentError(`The sender for ${this.name} is undefined: leave it out to hear of everybody.`);
  }

  protected connectionsFor(sender: Sender): readonly Connection<Payload, Sender>[] {
    return this.#connections.filter(({ to }) => to === undefined || Object.is(to.sender, sender));
  }
}

type Identity = Pick<Connection<unknown, unknown>, 'key' | 'to'>;

const isSame = (a: Identity, b: Identity): boolean =>
  a.key === b.key && (a.to === undefined) === (b.to === undefined) && Object.is(a.to?.sender, b.to?.sender);
