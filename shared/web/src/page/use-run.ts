import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { LearnKey, Message, RunRequest } from '../api.ts';
import { type Running, source } from './source.ts';
import type { Words } from './words.ts';

/** How long a block stands alone when it is told slowly. */
const pauseMs = 1800;

export interface RunState {
  readonly messages: readonly Message[];
  readonly state: 'none' | 'running' | 'over';
  /** The reader has ended it. */
  readonly stopped: boolean;
  /** Why it could not be run, or not be told to its end. */
  readonly problem: string;

  /** Told slowly, and there is more to tell. */
  readonly waits: boolean;
  start(request: RunRequest): void;
  stop(): void;
  press(key: LearnKey): void;
  next(): void;
}

/** One run at a time of a view; it ends with the view. */
export function useRun(words: Words, slow = false): RunState {
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [state, setState] = useState<RunState['state']>('none');
  const [stopped, setStopped] = useState(false);
  const [problem, setProblem] = useState('');
  const [queue, setQueue] = useState<readonly Message[]>([]);
  const running = useRef<Promise<Running> | undefined>(undefined);
  /** Of an earlier run nothing is shown any more. */
  const turn = useRef(0);

  const stop = useCallback(() => {
    setStopped(true);
    void running.current?.then((run) => run.stop()).catch(() => {});
  }, []);
  const leave = useCallback(() => {
    turn.current += 1;
    void running.current?.then((run) => run.stop()).catch(() => {});
  }, []);
  useEffect(() => leave, [leave]);

  const start = useCallback(
    (request: RunRequest) => {
      leave();
      const mine = turn.current;
      setMessages([]);
      setQueue([]);
      setProblem('');
      setStopped(false);
      setState('running');
      running.current = source.run(
        request,
        (message) => {
          if (turn.current === mine) setQueue((before) => [...before, message]);
        },
        () => {
          if (turn.current !== mine) return;
          setProblem(words.lost);
          setState('over');
        },
      );
      running.current.catch((error: unknown) => {
        if (turn.current !== mine) return;
        setProblem(error instanceof Error ? error.message : String(error));
        setState('over');
      });
    },
    [leave, words],
  );

  /** Shows what has come: all of it, or up to the next block. */
  const show = useCallback((count: number) => {
    setQueue((before) => {
      const now = before.slice(0, count);
      if (now.length > 0) setMessages((shown) => [...shown, ...now]);
      if (now.some(({ type }) => type === 'ended')) setState('over');
      return before.slice(count);
    });
  }, []);
  const next = useCallback(() => show(untilBlock(queue)), [queue, show]);
  useEffect(() => {
    if (queue.length === 0) return;
    if (!slow || stopped) {
      show(queue.length);
      return;
    }
    const quiet = quietOf(queue[0]);
    const timer = setTimeout(() => show(1), quiet ? 0 : pauseMs);
    return () => clearTimeout(timer);
  }, [queue, slow, stopped, show]);

  const press = useCallback((key: LearnKey) => void running.current?.then((run) => run.press(key)), []);
  return { messages, state, stopped, problem, waits: slow && queue.length > 0, start, stop, press, next };
}

/** What needs no time of its own to be read. */
const quietOf = (message: Message | undefined): boolean =>
  message?.type !== 'story' || ['start', 'server', 'scene', 'progress', 'end'].includes(message.event.type);

function untilBlock(queue: readonly Message[]): number {
  const at = queue.findIndex((message) => !quietOf(message));
  return at < 0 ? queue.length : at + 1;
}
