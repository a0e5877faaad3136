import { ConflictError, StoreError } from './errors.ts';
import type { EventStore, NewEvent } from './event-store.ts';
import { checkedText, checkedWhole } from './text.ts';

export interface Command {
  /** Chosen by the sender, once for each wish; a repetition carries the same. */
  readonly id: string;
}

/** The rules of one kind of aggregate: pure functions, no clock, no database. */
export interface Decider<C extends Command, S, E extends NewEvent> {
  streamOf(command: C): string;
  /** Made for each command: nobody finds in it what another has left there. */
  initial(): S;
  evolve(state: S, event: E): S;
  /** @returns at least one event. @throws when the command is refused */
  decide(command: C, state: S): readonly E[];
}

/** The command side: finds out what has happened, decides, and writes down what happens next. It answers no question. */
export class CommandBus<C extends Command, S, E extends NewEvent> {
  protected readonly store: EventStore<E>;
  protected readonly decider: Decider<C, S, E>;
  protected readonly attempts: number;

  /**
   * @param options.attempts How often a decision is made anew when somebody else was faster. Default 5.
   * @throws InvalidArgumentError
   */
  constructor(store: EventStore<E>, decider: Decider<C, S, E>, { attempts = 5 }: { readonly attempts?: number } = {}) {
    this.store = store;
    this.decider = decider;
    this.attempts = checkedWhole('attempts', attempts, 1);
  }

  /**
   * Carries out a command, once for its id, however often and by however many it is sent.
   *
   * @returns where its events end: ask a read model for `atLeast` that, and you see what you wrote
   * @throws InvalidArgumentError without an id. @throws what the decider throws
   * @throws ConflictError when all attempts met a faster writer
   * @throws StoreError when the database doesn't answer: send the same command again
   */
  async send(command: C): Promise<{ readonly position: bigint }> {
    const id = checkedText('command id', command.id);
    for (let attempt = 1; ; attempt++) {
      const done = await this.store.positionOf(id);
      if (done !== undefined) return { position: done };
      const stream = this.decider.streamOf(command);
      const history = await this.store.read(stream);
      const state = history.reduce((now, event) => this.decider.evolve(now, event), this.decider.initial());
      try {
        const events = this.decider.decide(command, state);
        return {
          position: await this.store.append({ stream, expectedVersion: history.length, events, commandId: id }),
        };
      } catch (error) {
        if (error instanceof ConflictError && attempt < this.attempts) continue;
        // It may have been carried out since we looked: by its twin, whose effect the rules refuse to repeat, or by an
        // append whose answer was lost.
        const twin = await this.store.positionOf(id).catch((unasked: unknown) => {
          // Whoever is refused believes that nothing was written: not to be said by who doesn't know.
          throw error instanceof StoreError ? error : unasked;
        });
        if (twin === undefined) throw error;
        return { position: twin };
      }
    }
  }
}
