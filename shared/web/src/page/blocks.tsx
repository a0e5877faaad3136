import type { CodeEvent, StoryEvent, TableEvent } from '@shared/story/read';
import type { ComponentChildren, JSX } from 'preact';
import type { Message } from '../api.ts';
import { highlightLines } from './highlight.ts';
import { imageOf } from './markdown.tsx';
import { linkTo } from './route.ts';
import type { Words } from './words.ts';

/** What scrolls must be reached by the keyboard. */
export const scrolls = { tabIndex: 0 } as const;

type Told = Extract<Message, { type: 'story' }>;

/** A scene, and what was told in it. */
export interface Scene {
  readonly number: number;
  readonly title: string;
  readonly told: readonly Told[];
}

/** What was told before the first scene stands in one without a title, and so does what came after the last. */
export function scenesOf(messages: readonly Message[]): readonly Scene[] {
  const scenes: { number: number; title: string; told: Told[] }[] = [];
  for (const message of messages) {
    if (message.type !== 'story') continue;
    const { event } = message;
    if (event.type === 'start' || event.type === 'progress' || event.type === 'end') continue;
    if (event.type === 'scene') scenes.push({ number: event.scene, title: event.title, told: [] });
    else {
      const last = scenes.at(-1);
      if (last === undefined || last.number !== event.scene)
        scenes.push({ number: event.scene, title: '', told: [message] });
      else last.told.push(message);
    }
  }
  return scenes;
}

/** One scene: its source beside it where there is room. */
export function SceneView({ scene, lab, words }: { scene: Scene; lab: string; words: Words }): JSX.Element {
  const code = scene.told.filter(({ event }) => event.type === 'code');
  const rest = scene.told.filter(({ event }) => event.type !== 'code');
  return (
    <section class={code.length > 0 ? 'scene with-code' : 'scene'}>
      {scene.title !== '' && (
        <h2>
          <span class="number">{scene.number}</span> {scene.title}
        </h2>
      )}
      <div class="told">
        {rest.map((told, at) => (
          <Block key={at} told={told} words={words} />
        ))}
      </div>
      {code.length > 0 && (
        <div class="quoted">
          {code.map(({ event }, at) => event.type === 'code' && <Code key={at} event={event} lab={lab} />)}
        </div>
      )}
    </section>
  );
}

function Block({ told: { event, svg }, words }: { told: Told; words: Words }): JSX.Element | null {
  switch (event.type) {
    case 'say':
      return <Prose text={event.text} />;
    case 'server':
      return (
        <details class="server">
          <summary>{event.banner}</summary>
          {event.inspect.length > 0 && <pre {...scrolls}>{event.inspect.join('\n')}</pre>}
        </details>
      );
    case 'skip':
      return (
        <p class="skip">
          {event.title} <em>{words.skipped}</em>: {event.reason}
        </p>
      );
    case 'table':
      return <Table event={event} />;
    case 'bars':
    case 'lines':
    case 'timeline':
      return svg === undefined ? null : <Chart title={event.title} svg={svg} />;
    case 'verdict':
      return (
        <p class={event.holds ? 'verdict good' : 'verdict bad'}>
          <span class="sign" aria-hidden="true">
            {event.holds ? '✓' : '✗'}
          </span>
          <span>
            <strong>{event.claim}</strong>{' '}
            <span class="visually-hidden">{event.holds ? words.holds : words.fails}:</span>{' '}
            <span class="measured">{event.measured}</span>
          </span>
        </p>
      );
    case 'error':
      return (
        <div class="error" role="alert">
          <strong>{event.name}</strong> {event.message}
          {event.frames.length > 0 && <pre {...scrolls}>{event.frames.join('\n')}</pre>}
        </div>
      );
    default:
      return null;
  }
}

/** As wide as it was drawn, or with a scrollbar of its own: a chart that is shrunk to a telephone can't be read. */
function Chart({ title, svg }: { title: string; svg: string }): JSX.Element {
  const description = /<desc[^>]*>([^<]*)<\/desc>/.exec(svg)?.[1] ?? '';
  const text = new DOMParser().parseFromString(description, 'text/html').body.textContent ?? '';
  return (
    <div class="chart scroll" {...scrolls}>
      <img src={imageOf(svg)} alt={`${title}. ${text}`} />
    </div>
  );
}

function Table({ event }: { event: TableEvent }): JSX.Element {
  return (
    <div class="scroll" {...scrolls}>
      <table>
        {event.caption !== undefined && <caption>{event.caption}</caption>}
        <thead>
          <tr>
            {event.columns.map((column) => (
              <th key={column.label} class={column.align}>
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {event.rows.map((row, at) => (
            <tr key={at}>
              {row.map((cell, column) => (
                <td key={column} class={event.columns[column]?.align}>
                  {typeof cell === 'number' ? figure(cell) : (cell ?? '–')}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** As many digits as tell something. */
const figure = (value: number): string =>
  value.toLocaleString('en', { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 4 });

function Code({ event, lab }: { event: CodeEvent; lab: string }): JSX.Element {
  const lines = highlightLines(event.lines.join('\n'), event.file);
  return (
    <figure class="code">
      <figcaption>
        <a href={linkTo(lab, 'files', event.file, event.from)}>
          {event.file}:{event.from}
        </a>
      </figcaption>
      <CodeLines lines={lines} from={event.from} />
    </figure>
  );
}

/** Lines of highlighted source with their numbers. */
export function CodeLines({
  lines,
  from,
  mark,
}: {
  lines: readonly string[];
  from: number;
  mark?: number;
}): JSX.Element {
  return (
    <pre class="lines" {...scrolls}>
      {lines.map((html, at) => (
        <span key={at} class={from + at === mark ? 'line marked' : 'line'}>
          <span class="number" aria-hidden="true">
            {from + at}
          </span>
          <code dangerouslySetInnerHTML={{ __html: `${html}\n` }} />
        </span>
      ))}
    </pre>
  );
}

/** An empty line parts paragraphs; `- ` begins an item; `backticks` mark code, `**` what is strong. */
function Prose({ text }: { text: string }): JSX.Element {
  return (
    <>
      {text
        .split(/\n\s*\n/)
        .filter((block) => block.trim() !== '')
        .map((block, at) =>
          /^\s*- /.test(block) ? (
            <ul key={at}>
              {block
                .split(/^\s*- /m)
                .filter((item) => item.trim() !== '')
                .map((item, place) => (
                  <li key={place}>{inline(item)}</li>
                ))}
            </ul>
          ) : (
            <p key={at}>{inline(block)}</p>
          ),
        )}
    </>
  );
}

function inline(text: string): ComponentChildren {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part, at) => {
    if (part.startsWith('`') && part.length > 1) return <code key={at}>{part.slice(1, -1)}</code>;
    if (part.startsWith('**') && part.length > 3) return <strong key={at}>{part.slice(2, -2)}</strong>;
    return part;
  });
}

/** The progress that is under way; undefined where there is none. */
export function progressOf(messages: readonly Message[]): Extract<StoryEvent, { type: 'progress' }> | undefined {
  const last = messages.findLast((message) => message.type === 'story');
  return last?.event.type === 'progress' && !last.event.finished ? last.event : undefined;
}
