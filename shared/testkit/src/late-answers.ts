/** Answers of one client, held back by whoever tests what happens meanwhile. */
export interface LateAnswers {
  /** From now on, what the client sends is done by the server, and its answer waits. */
  hold(): void;
  /** Resolves when the first answer waits. */
  readonly held: Promise<void>;
  /** Hands out what waits, and holds nothing more. */
  release(): void;
}

/** Replaces the client's `sendCommand` for good. */
export function lateAnswers<Command extends unknown[]>(client: {
  sendCommand(...command: Command): unknown;
}): LateAnswers {
  const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const send = client.sendCommand.bind(client);
  let holding = false;
  client.sendCommand = async (...command) => {
    const late = holding;
    const answer = await send(...command);
    if (late) {
      held.resolve();
      await released.promise;
    }
    return answer;
  };
  return {
    hold() {
      holding = true;
    },
    held: held.promise,
    release() {
      holding = false;
      released.resolve();
    },
  };
}
