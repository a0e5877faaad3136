/**
 * Lends servers to other processes, one after another: a server is started once, and whoever borrows it next finds it as
 * new. For graders, which run many suites that ask for the same servers.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onAnnounce } from './announce.ts';
import { type Answer, lessorVariable, type Question, type Wish } from './lease.ts';
import type { Lendable, Lender } from './lending.ts';
import { lenders } from './registry.ts';

export interface Lessor extends AsyncDisposable {
  /** What a process needs in its environment to borrow here. */
  readonly env: Readonly<Record<string, string>>;
}

export interface LessorOptions {
  /** More borrowers will come: start ahead what the next one is likely to ask for. */
  readonly ahead: boolean;
}

/** Starts no server before somebody asks for one. Disposing ends them all. */
export async function openLessor({ ahead }: LessorOptions): Promise<Lessor> {
  // Who borrows says what it got.
  const silent = onAnnounce(() => {});
  const folder = await mkdtemp(join(tmpdir(), 'labs-lessor-'));
  const path = join(folder, 'socket');
  const stock = new Stock(ahead);
  const borrowers = new Set<Socket>();
  const server = createServer((socket) => {
    borrowers.add(socket);
    socket.once('close', () => borrowers.delete(socket));
    serve(socket, stock);
  });
  server.unref();
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(path, listening.resolve);
  await listening.promise;
  return {
    env: { [lessorVariable]: path },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of borrowers) socket.destroy();
      await stock[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
      silent();
    },
  };
}

interface Loan {
  readonly kind: Kind;
  readonly lent: Lendable;
  /** It has been killed, paused or restarted: nobody can vouch for it any more. */
  spoilt: boolean;
}

/** One borrower: what it holds comes back when its process is gone. */
function serve(socket: Socket, stock: Stock): void {
  const loans = new Map<number, Loan>();
  let last = 0;
  let gone = false;
  const giveBack = (id: number): void => {
    const loan = loans.get(id);
    if (loan === undefined) return;
    loans.delete(id);
    loan.kind.takeBack(loan.lent, loan.spoilt);
  };
  const answer = async (question: Question): Promise<Answer> => {
    if (question.ask === 'lend') {
      const kind = stock.kind(question.service, question.wish);
      const lent = await kind.lend([...loans.values()].some((loan) => loan.kind.limited));
      const loan = { kind, lent, spoilt: false };
      last += 1;
      loans.set(last, loan);
      if (gone) giveBack(last);
      const { servers, urls, inspect, namespace } = lent;
      return { facts: { loan: last, banner: servers.banner, inspect, namespace, urls } };
    }
    const loan = loans.get(question.loan);
    if (question.ask === 'return') {
      giveBack(question.loan);
      return { done: true };
    }
    if (loan === undefined) return { error: 'this server was given back already.', code: 'LESSOR' };
    if (question.ask === 'call') {
      const call = loan.lent.calls?.[question.name];
      return call === undefined ? { done: true } : { text: await call() };
    }
    loan.spoilt = true;
    await loan.lent.nodes[question.node]?.[question.fault]();
    return { done: true };
  };
  socket.on('error', () => {});
  socket.once('close', () => {
    gone = true;
    for (const id of loans.keys()) giveBack(id);
  });
  const lines = createInterface({ input: socket });
  // A borrower that is killed with answers unread resets the line, which readline throws on; its last words may be half.
  lines.on('error', () => {});
  lines.on('line', async (text) => {
    const said = asked(text);
    if (said === undefined) return;
    const { id, question } = said;
    const reply = await answer(question).catch((error: unknown): Answer => {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'LESSOR';
      return { error: error instanceof Error ? error.message : String(error), code };
    });
    if (!gone) socket.write(`${JSON.stringify({ id, answer: reply })}\n`);
  });
}

function asked(text: string): { readonly id: number; readonly question: Question } | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** All servers of one kind and wish. */
class Kind {
  readonly #lender: Lender;
  readonly #wish: Wish;
  readonly #ahead: boolean;
  /** Ready for the next borrower, or about to be; what becomes undefined was not fit to be lent again. */
  readonly #shelf: Promise<Lendable | undefined>[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #leaving = new Set<Promise<void>>();
  readonly #out = new Set<Lendable>();
  /** Those that are lent, and those that are about to be: a start takes seconds. */
  #count = 0;
  #closed = false;

  constructor(lender: Lender, wish: Wish, ahead: boolean) {
    this.#lender = lender;
    this.#wish = wish;
    this.#ahead = ahead;
  }

  /** Others may wait for one that is lent. */
  get limited(): boolean {
    return this.#lender.most !== undefined;
  }

  /** @param urgent others may wait for what the borrower holds already, so it must not wait for what somebody else holds */
  async lend(urgent: boolean): Promise<Lendable> {
    const { most = Number.POSITIVE_INFINITY } = this.#lender;
    while (!urgent && this.#shelf.length === 0 && this.#count >= most) {
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
    this.#count += 1;
    try {
      const lent = (await this.#shelf.shift()) ?? (await this.#lender.lend(this.#wish));
      this.#out.add(lent);
      if (this.#closed) await this.#end(lent);
      return lent;
    } catch (error) {
      this.#count -= 1;
      this.#waiting.shift()?.();
      throw error;
    }
  }

  takeBack(lent: Lendable, spoilt: boolean): void {
    this.#out.delete(lent);
    this.#count -= 1;
    if (this.#closed) return;
    const renew = spoilt ? undefined : lent.renew;
    const next = renew?.().catch(() => undefined);
    if (next !== undefined) {
      this.#shelf.push(
        next.then((fresh) => {
          if (fresh === undefined) this.#leave(lent);
          return fresh;
        }),
      );
    } else {
      this.#leave(lent);
      if (this.#ahead && this.#shelf.length === 0) {
        this.#shelf.push(this.#lender.lend(this.#wish).catch(() => undefined));
      }
    }
    this.#waiting.shift()?.();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const shelved = await Promise.all(this.#shelf);
    for (const lent of [...shelved, ...this.#out]) if (lent !== undefined) this.#leave(lent);
    await Promise.all(this.#leaving);
  }

  #leave(lent: Lendable): void {
    const leaving = this.#end(lent).finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  async #end({ servers }: Lendable): Promise<void> {
    // A server that was spoilt may end as it likes: the reaper has what is left.
    await Promise.allSettled([servers[Symbol.asyncDispose]()]);
  }
}

class Stock implements AsyncDisposable {
  readonly #ahead: boolean;
  readonly #kinds = new Map<string, Kind>();

  constructor(ahead: boolean) {
    this.#ahead = ahead;
  }

  kind(service: string, wish: Wish): Kind {
    const key = `${service} ${JSON.stringify(wish)}`;
    const known = this.#kinds.get(key);
    if (known) return known;
    const lender = lenders.get(service);
    if (lender === undefined) throw new RangeError(`nobody lends "${service}": there are ${[...lenders.keys()]}`);
    const kind = new Kind(lender, wish, this.#ahead);
    this.#kinds.set(key, kind);
    return kind;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#kinds.values()].map((kind) => kind.close()));
  }
}
