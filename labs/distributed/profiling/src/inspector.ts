import type { HeapProfiler, NodeRuntime, NodeWorker, Profiler, Runtime } from 'node:inspector';
import { ProtocolError, TargetEndedError, TargetSilentError } from './errors.ts';
import type { Listener } from './target.ts';

/** What we ask of a target, and what comes back. https://chromedevtools.github.io/devtools-protocol/v8/ */
export interface Commands {
  'Runtime.evaluate': [Runtime.EvaluateParameterType, Runtime.EvaluateReturnType];
  'Runtime.callFunctionOn': [Runtime.CallFunctionOnParameterType, Runtime.CallFunctionOnReturnType];
  'Profiler.enable': [undefined, unknown];
  'Profiler.disable': [undefined, unknown];
  'Profiler.setSamplingInterval': [Profiler.SetSamplingIntervalParameterType, unknown];
  'Profiler.start': [undefined, unknown];
  'Profiler.stop': [undefined, Profiler.StopReturnType];
  'Profiler.startPreciseCoverage': [Profiler.StartPreciseCoverageParameterType, unknown];
  'Profiler.takePreciseCoverage': [undefined, Profiler.TakePreciseCoverageReturnType];
  'Profiler.stopPreciseCoverage': [undefined, unknown];
  'Runtime.releaseObject': [Runtime.ReleaseObjectParameterType, unknown];
  'HeapProfiler.enable': [undefined, unknown];
  'HeapProfiler.disable': [undefined, unknown];
  'HeapProfiler.collectGarbage': [undefined, unknown];
  'HeapProfiler.startSampling': [HeapProfiler.StartSamplingParameterType, unknown];
  'HeapProfiler.stopSampling': [undefined, HeapProfiler.StopSamplingReturnType];
  'NodeWorker.enable': [NodeWorker.EnableParameterType, unknown];
  'NodeWorker.disable': [undefined, unknown];
  'NodeRuntime.notifyWhenWaitingForDisconnect': [NodeRuntime.NotifyWhenWaitingForDisconnectParameterType, unknown];
}

type Message = ReturnType<typeof JSON.parse>;

function messageIn(text: string): Message {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // What answers behind a port may be anything.
  }
}

/** A session with a process' inspector, over its WebSocket. */
export class Inspector {
  /** Resolved when the connection is closed, by whomever. */
  readonly closed: Promise<void>;
  #socket: WebSocket;
  #name: string;
  #asked = new Map<number, { answer(message: Message): void; fail(error: Error): void }>();
  #heard = new Map<string, (params: Message) => void>();
  #next = 0;

  private constructor(socket: WebSocket, name: string) {
    this.#socket = socket;
    this.#name = name;
    socket.addEventListener('message', ({ data }) => {
      const message = messageIn(String(data));
      if (message.id === undefined) this.#heard.get(message.method)?.(message.params);
      else this.#asked.get(message.id)?.answer(message);
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', () => {
        for (const { fail } of this.#asked.values()) fail(this.#ended());
        resolve();
      });
    });
  }

  /**
   * Connects to the inspector behind a port.
   *
   * @param deadline When to give up, on the clock of `performance.now()`.
   * @returns undefined when what listens there is no inspector, or doesn't answer by then
   */
  static async open({ host, port }: Listener, deadline: number): Promise<Inspector | undefined> {
    const signal = AbortSignal.timeout(Math.max(1, Math.ceil(deadline - performance.now())));
    const url = await fetch(`http://${host}:${port}/json/list`, { signal, redirect: 'error' })
      .then((answer) => answer.json())
      .then((list: Message) => String(list?.[0]?.webSocketDebuggerUrl))
      .catch(() => '');
    // The address is what the answer says, the machine what the kernel said.
    if (!URL.canParse(url) || new URL(url).host !== `${host}:${port}` || signal.aborted) return undefined;
    const socket = new WebSocket(url);
    const inspector = new Inspector(socket, `${host}:${port}`);
    const open = await new Promise<boolean>((resolve) => {
      socket.addEventListener('open', () => resolve(true));
      socket.addEventListener('error', () => resolve(false));
      signal.addEventListener('abort', () => resolve(false), { once: true });
    });
    if (!open) {
      inspector.close();
      return undefined;
    }
    // A process that is to end would wait for us to hang up.
    inspector.on('NodeRuntime.waitingForDisconnect', () => inspector.close());
    inspector.send('NodeRuntime.notifyWhenWaitingForDisconnect', { enabled: true }).catch(() => {});
    return inspector;
  }

  /**
   * Sends a command and waits for its answer.
   *
   * @param timeoutMs Milliseconds to wait. Default 10000: a stopped process answers never.
   * @throws ProtocolError, TargetEndedError, TargetSilentError
   */
  send<K extends keyof Commands>(method: K, params?: Commands[K][0], timeoutMs = 10_000): Promise<Commands[K][1]> {
    return new Promise<Commands[K][1]>((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) return reject(this.#ended());
      const id = ++this.#next;
      const settle = () => {
        clearTimeout(timer);
        this.#asked.delete(id);
      };
      const timer = setTimeout(() => {
        settle();
        reject(new TargetSilentError(`${this.#name} did not answer ${method} in ${timeoutMs} ms: is it stopped?`));
      }, timeoutMs);
      this.#asked.set(id, {
        answer(message) {
          settle();
          if (message.error) reject(new ProtocolError(`${method} was refused: ${message.error.message}`));
          else resolve(message.result);
        },
        fail(error) {
          settle();
          reject(error);
        },
      });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** @returns the value of an expression in the target, which has `require` there, as JSON can carry it */
  async evaluate(expression: string, timeoutMs?: number): Promise<unknown> {
    const asked = { expression, returnByValue: true, includeCommandLineAPI: true };
    const answer = await this.send('Runtime.evaluate', asked, timeoutMs);
    if (answer.exceptionDetails)
      throw new ProtocolError(`The target threw: ${answer.result.description ?? answer.exceptionDetails.text}`);
    return answer.result.value;
  }

  /** Calls `listener` for each event of this kind. */
  on(method: 'NodeRuntime.waitingForDisconnect', listener: () => void): void;
  on(method: 'NodeWorker.attachedToWorker', listener: (event: NodeWorker.AttachedToWorkerEventDataType) => void): void;
  on(method: string, listener: (event: Message) => void): void {
    this.#heard.set(method, listener);
  }

  close(): void {
    this.#socket.close();
  }

  #ended(): TargetEndedError {
    return new TargetEndedError(`${this.#name} has closed its inspector, or ended.`);
  }
}
