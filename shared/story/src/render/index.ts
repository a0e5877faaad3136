/** From events to lines of text. Pure: the same event in the same frame gives the same lines. */
import type { StoryEvent } from '../events.ts';
import { renderBars } from './bars.ts';
import { renderCode } from './code.ts';
import { type Frame, frame, indent } from './frame.ts';
import { renderLines } from './lines.ts';
import {
  renderEnd,
  renderError,
  renderSay,
  renderScene,
  renderServer,
  renderSkip,
  renderStart,
  renderVerdict,
} from './prose.ts';
import { renderTable } from './table.ts';
import { renderTimeline } from './timeline.ts';

/** The lines of one event, blank lines before it included; `previous` is what was rendered before it. */
export function renderEvent(event: StoryEvent, f: Frame, previous?: StoryEvent): string[] {
  if (event.type === 'progress') return [];
  const lines = indent(body(event, f));
  return [...Array.from({ length: blanks(event, previous) }, () => ''), ...lines];
}

function body(event: Exclude<StoryEvent, { type: 'progress' }>, f: Frame): string[] {
  switch (event.type) {
    case 'start':
      return renderStart(event, f);
    case 'server':
      return renderServer(event, f);
    case 'scene':
      return renderScene(event, f);
    case 'skip':
      return renderSkip(event, f);
    case 'say':
      return renderSay(event, f);
    case 'code':
      return renderCode(event, f);
    case 'table':
      return renderTable(event, f);
    case 'bars':
      return renderBars(event, f);
    case 'lines':
      return renderLines(event, f);
    case 'timeline':
      return renderTimeline(event, f);
    case 'verdict':
      return renderVerdict(event, f);
    case 'error':
      return renderError(event, f);
    case 'end':
      return renderEnd(event, f);
  }
}

function blanks(event: StoryEvent, previous: StoryEvent | undefined): number {
  if (event.type === 'scene' || event.type === 'skip') return 2;
  if (event.type === 'server' && (previous?.type === 'server' || previous?.type === 'start')) return 0;
  if (event.type === 'verdict' && previous?.type === 'verdict') return 0;
  return 1;
}

/**
 * Events as plain text (no escape codes), for a README or a log: without blank lines around, no line longer than `width`.
 * @param width Columns, default 80; below 40 or above 200 it is brought into that range.
 */
export function renderPlain(events: readonly StoryEvent[], width = 80): string {
  return renderAll(events, frame(width, false));
}

export function renderAll(events: readonly StoryEvent[], f: Frame): string {
  const shown = events.filter((e) => e.type !== 'progress');
  const lines = shown.flatMap((event, i) => renderEvent(event, f, shown[i - 1]));
  while (lines[0] === '') lines.shift();
  while (lines.at(-1) === '') lines.pop();
  return lines.join('\n');
}
