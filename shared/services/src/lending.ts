import { chooseOwn } from './choose.ts';
import type { Wish } from './lease.ts';
import type { Program } from './process.ts';
import type { Service } from './service.ts';
import type { Node, Servers } from './types.ts';

/** Servers that can be lent. */
export interface Lendable {
  /** Disposed when they are lent no more. */
  readonly servers: Servers;
  readonly nodes: readonly Pick<Node, 'kill' | 'restart' | 'pause' | 'resume'>[];
  /** Where the borrower finds each node. */
  readonly urls: readonly string[];
  readonly inspect: readonly string[];
  readonly namespace: string;
  /** What this service alone has, by the name that its own file asks for. */
  readonly calls?: Readonly<Record<string, () => Promise<string>>>;
  /**
   * Makes them as good as new for the next borrower, whatever the last one did; undefined where that cannot be vouched
   * for. Without it each borrower gets new ones: right where a start is cheaper than to clean up.
   */
  readonly renew?: () => Promise<Lendable | undefined>;
}

/** How servers of one kind are lent. */
export interface Lender {
  lend(wish: Wish): Promise<Lendable>;
  /** How many there may be at once: the next borrower waits. For servers whose start takes seconds of a processor. */
  readonly most?: number;
}

/** The program of a server that is to be lent: a process of our own, whatever else there is. */
export async function ownProgram(service: Service): Promise<Program> {
  return chooseOwn(service, 1, { embedded: true });
}
