/** Where events go: JSON lines, or text on a terminal or in a pipe, paced for a talk or at once. */
import type { ProgressEvent, StoryEvent } from './events.ts';
import { type Frame, frame } from './render/frame.ts';
import { renderEvent } from './render/index.ts';
import { clean, figure, truncate, width } from './text.ts';

export interface Sink {
  event(event: StoryEvent): void;
  /** Resolves when everything told so far is shown. */
  shown(): Promise<void>;
  /** No more pauses: show what is left. */
  hurry(): void;
}

type Write = (text: string) => void;

export function jsonSink(write: Write): Sink {
  return {
    event: (event) => write(`${JSON.stringify(event)}\n`),
    shown: () => Promise.resolve(),
    hurry: () => {},
  };
}

export interface TextOptions {
  readonly write: Write;
  readonly color: boolean;
  /** Asked before each block: a terminal may have been resized. */
  readonly columns: () => number;
  /** A terminal that can redraw a line in place. */
  readonly live: boolean;
}

export function textSink(options: TextOptions): Sink {
  let previous: StoryEvent | undefined;
  let drawn = false;
  const erase = () => {
    if (drawn) options.write('\r\u001b[2K');
    drawn = false;
  };
  return {
    event(event) {
      const f = frame(options.columns(), options.color);
      if (event.type === 'progress') {
        if (!options.live) return;
        erase();
        if (event.finished) return;
        options.write(progressLine(event, f));
        drawn = true;
        return;
      }
      erase();
      const lines = renderEvent(event, f, previous);
      previous = event;
      const after = event.type === 'end' ? '\n' : '';
      options.write(`${lines.join('\n')}\n${after}`);
    },
    shown: () => Promise.resolve(),
    hurry: () => {},
  };
}

function progressLine(event: ProgressEvent, f: Frame): string {
  const ratio = event.total > 0 ? Math.min(1, Math.max(0, event.done / event.total)) : 0;
  const count = event.total > 0 ? `${figure(event.done)} of ${figure(event.total)}` : figure(event.done);
  const label = truncate(clean(event.label), Math.floor(f.inner * 0.45));
  const bar = Math.min(30, f.inner - width(label) - width(count) - 4);
  const full = Math.round(ratio * bar);
  const drawn = bar < 5 ? '' : `${f.paint('cyan', '━'.repeat(full))}${f.paint('dim', '─'.repeat(bar - full))}  `;
  return `  ${label}  ${drawn}${f.paint('dim', count)}`;
}

/**
 * Shows the events of another sink block by block, with a pause after each. What the story measures is not slowed: only
 * its scenes wait for their audience.
 */
export function slowSink(inner: Sink, pause: (signal: AbortSignal) => Promise<void>): Sink {
  const queue: StoryEvent[] = [];
  const haste = new AbortController();
  let playing = Promise.resolve();
  let busy = false;
  const play = async () => {
    busy = true;
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      inner.event(event);
      const quiet = event.type === 'start' || event.type === 'server' || event.type === 'scene' || event.type === 'end';
      if (!quiet && !haste.signal.aborted) await pause(haste.signal);
    }
    busy = false;
  };
  return {
    event(event) {
      if (event.type === 'progress') {
        if (!busy) inner.event(event);
        return;
      }
      queue.push(event);
      if (!busy) playing = play();
    },
    async shown() {
      while (busy) await playing;
    },
    hurry: () => haste.abort(),
  };
}
