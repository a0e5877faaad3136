import { ConflictError, InvalidArgumentError } from './errors.ts';
import type { EventStore, NewEvent } from './event-store.ts';

export interface Command {
  /** Chosen by the sender, once for each wish; a repetition carries the same. */
  readonly id: string;
}

/** The rules of one kind of aggregate: pure functions, no clock, no database. */
export interface Decider<C extends Command, S, E extends NewEvent> {
  streamOf(command: C): string;
  readonly initial: S;
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
    if (!Number.isInteger(attempts) || attempts < 1) {
      throw new InvalidArgumentError(`attempts is ${attempts}: give a whole number, at least 1.`);
    }
    this.store = store;
    this.decider = decider;
    this.attempts = attempts;
  }

  /**
   * Carries out a command, once for its id, however often and by however many it is sent.
   *
   * @returns where its events end: ask a read model for `atLeast` that, and you see what you wrote
   * @throws InvalidArgumentError without an id. @throws what the decider throws
   * @throws ConflictError when all attempts met a faster writer
   */
  async send(command: C): Promise<{ readonly position: bigint }> {
    if (command.id === '')
      throw new InvalidArgumentError('A command needs an id: it is told from its repetition by it.');
    for (let attempt = 1; ; attempt++) {
      const done = await this.store.positionOf(command.id);
      if (done !== undefined) return { position: done };
      const stream = this.decider.streamOf(command);
      const history = await this.store.read(stream);
      const state = history.reduce((now, event) => this.decider.evolve(now, event), this.decider.initial);
      try {
        const events = this.decider.decide(command, state);
        return {
          position: await this.store.append({
            stream,
            expectedVersion: history.length,
            events,
            commandId: command.id,
          }),
        };
      } catch (error) {
        if (!(error instanceof ConflictError)) {
          // Its twin may have been carried out since we looked: then the rules refuse what has happened already.
          const twin = await this.store.positionOf(command.id);
          if (twin !== undefined) return { position: twin };
          throw error;
        }
        if (attempt === this.attempts) throw error;
      }
    }
  }
}
