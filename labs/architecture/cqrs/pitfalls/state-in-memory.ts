// Flaw: an instance keeps the state of each order in its memory, and decides on what another instance has changed since.
// Seen in: https://github.com/KanishJebaMathewM/Truxify/pull/10177
// Caught by: an order goes its way, and each step is an event in its stream
import type { Command } from '../src/command-bus.ts';
import type { NewEvent } from '../src/event-store.ts';
import { CommandBus as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CommandBus<C extends Command, S, E extends NewEvent> extends Reference<C, S, E> {
  readonly #state = new Map<string, { readonly state: S; readonly version: number }>();

  override async send(command: C): Promise<{ readonly position: bigint }> {
    const done = await this.store.positionOf(command.id);
    if (done !== undefined) return { position: done };
    const stream = this.decider.streamOf(command);
    const evolve = (state: S, event: E) => this.decider.evolve(state, event);
    const known = this.#state.get(stream) ?? { state: this.decider.initial(), version: 0 };
    const events = this.decider.decide(command, known.state);
    const position = await this.store.append({ stream, expectedVersion: known.version, events, commandId: command.id });
    this.#state.set(stream, { state: events.reduce(evolve, known.state), version: known.version + events.length });
    return { position };
  }
}
