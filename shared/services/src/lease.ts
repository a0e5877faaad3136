import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { announce } from './announce.ts';
import { ServiceError } from './errors.ts';
import type { Lever } from './faults.ts';
import type { Servers } from './types.ts';

/** Where a lessor listens that lends servers to this process; unset where everybody starts their own. */
export const lessorVariable = 'LABS_LESSOR';

/** What may be wished of a server that is lent. */
export interface Wish {
  readonly nodes?: number;
  readonly persist?: 'none' | 'always';
  readonly standby?: 1;
  readonly cluster?: 6;
  readonly nodeTimeoutMs?: number;
}

/** What a lessor says of the servers that it lends. */
interface Facts {
  readonly loan: number;
  readonly banner: string;
  readonly inspect: readonly string[];
  readonly namespace: string;
  /** One for each node. */
  readonly urls: readonly string[];
}

type Fault = 'kill' | 'restart' | 'pause' | 'resume';

export type Question =
  | { readonly ask: 'lend'; readonly service: string; readonly wish: Wish }
  | { readonly ask: 'fault'; readonly loan: number; readonly node: number; readonly fault: Fault }
  | { readonly ask: 'call'; readonly loan: number; readonly name: string }
  | { readonly ask: 'return'; readonly loan: number };

export type Answer =
  | { readonly facts: Facts }
  | { readonly text: string }
  | { readonly done: true }
  | { readonly error: string; readonly code: string };

/** Servers on loan: they go back when they are disposed, or when this process ends. */
export interface Loan {
  readonly facts: Facts;
  /** How faults are injected into a node. */
  lever(node: number): Lever;
  /** Asks for something that this service alone has. */
  call(name: string): Promise<string>;
  /** The part of a handle that every kind of server shares. */
  handle(service: string, beforeReturn: () => Promise<void>): Servers;
}

let line: Line | undefined;

/** Borrows servers; undefined where nobody lends any, so that the caller starts its own. */
export async function borrow(service: string, wish: Wish): Promise<Loan | undefined> {
  const path = process.env[lessorVariable];
  if (path === undefined || path === '') return undefined;
  if (line?.path !== path) line = new Line(path);
  const own = line;
  const answer = await own.ask(service, { ask: 'lend', service, wish });
  if (!('facts' in answer)) throw new ServiceError(service, 'LESSOR', 'the lessor did not say what it lends.');
  const { facts } = answer;
  const { loan, banner, inspect, namespace } = facts;
  return {
    facts,
    lever: (node) => {
      const fault = (name: Fault) => async (): Promise<void> => {
        await own.ask(service, { ask: 'fault', loan, node, fault: name });
      };
      return { start: fault('restart'), kill: fault('kill'), pause: fault('pause'), resume: fault('resume') };
    },
    call: async (name) => {
      const reply = await own.ask(service, { ask: 'call', loan, name });
      if ('text' in reply) return reply.text;
      throw new ServiceError(service, 'LESSOR', `the lessor has no ${name}.`);
    },
    handle: (name, beforeReturn) => {
      announce(banner, 'banner');
      let closing: Promise<void> | undefined;
      const close = async (): Promise<void> => {
        await beforeReturn();
        await own.ask(service, { ask: 'return', loan });
      };
      return {
        service: name,
        origin: 'embedded',
        banner,
        inspect,
        faults: true,
        namespace,
        [Symbol.asyncDispose]: () => {
          closing ??= close();
          return closing;
        },
      };
    },
  };
}

/** One connection for all that this process borrows; JSON lines, a question and its answer under one number. */
class Line {
  readonly path: string;
  readonly #socket: Socket;
  readonly #open = new Map<number, PromiseWithResolvers<Answer>>();
  #last = 0;

  constructor(path: string) {
    this.path = path;
    this.#socket = connect(path);
    this.#socket.on('error', () => {});
    this.#socket.once('close', () => {
      if (line === this) line = undefined;
      for (const { reject } of this.#open.values()) {
        reject(new ServiceError('servers', 'LESSOR', 'whoever lent the servers is gone.'));
      }
    });
    const lines = createInterface({ input: this.#socket });
    // The socket's own listeners say what became of it.
    lines.on('error', () => {});
    lines.on('line', (text) => {
      const { id, answer }: { id: number; answer: Answer } = JSON.parse(text);
      this.#open.get(id)?.resolve(answer);
    });
  }

  async ask(service: string, question: Question): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    const open = Promise.withResolvers<Answer>();
    this.#open.set(id, open);
    // While nothing is asked, what is on loan keeps nobody alive.
    this.#socket.ref();
    this.#socket.write(`${JSON.stringify({ id, question })}\n`);
    try {
      const answer = await open.promise;
      if ('error' in answer) {
        // It names the service already.
        throw new ServiceError(service, answer.code, answer.error.replace(`${service}: `, ''));
      }
      return answer;
    } finally {
      this.#open.delete(id);
      if (this.#open.size === 0) this.#socket.unref();
    }
  }
}
