import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { LabData, Message } from '../api.ts';
import { progressOf, SceneView, scenesOf } from './blocks.tsx';
import { Markdown } from './markdown.tsx';
import { source } from './source.ts';
import { type RunState, useRun } from './use-run.ts';
import type { Words } from './words.ts';

/** The README, and beside it the story as it is told. */
export function Story({ data, words }: { data: LabData; words: Words }): JSX.Element {
  const [slow, setSlow] = useState(false);
  const [seed, setSeed] = useState('');
  const [example, setExample] = useState('');
  const [wide, setWide] = useState(false);
  const run = useRun(words, slow);
  const { name } = data.card;
  const start = (): void =>
    run.start({
      kind: 'demo',
      lab: name,
      ...(example === '' ? {} : { example }),
      ...(seed === '' ? {} : { seed: Number(seed) }),
    });
  return (
    <div class={wide ? 'story wide' : 'story'}>
      <div class="stage">
        <form
          class="controls"
          onSubmit={(event) => {
            event.preventDefault();
            if (run.state === 'running') run.stop();
            else start();
          }}
        >
          <button class="primary" type="submit">
            {run.state === 'running' ? words.stop : run.state === 'over' ? words.again : words.run}
          </button>
          <label>
            <input type="checkbox" checked={slow} onChange={({ currentTarget }) => setSlow(currentTarget.checked)} />{' '}
            {words.slower}
          </label>
          {slow && (
            <button type="button" disabled={!run.waits} onClick={run.next}>
              {words.next}
            </button>
          )}
          {source.live && (
            <label>
              {words.seed}{' '}
              <input
                class="seed"
                inputMode="numeric"
                pattern="[0-9]{0,9}"
                placeholder={words.anySeed}
                value={seed}
                onInput={({ currentTarget }) => setSeed(currentTarget.value)}
              />
            </label>
          )}
          {source.live && data.examples.length > 0 && (
            <label>
              {words.which}{' '}
              <select value={example} onChange={({ currentTarget }) => setExample(currentTarget.value)}>
                <option value="">{words.demo}</option>
                {data.examples.map((each) => (
                  <option key={each} value={each}>
                    {each}
                  </option>
                ))}
              </select>
            </label>
          )}
          <button type="button" class="widen" aria-pressed={wide} onClick={() => setWide(!wide)}>
            {wide ? words.showText : words.hideText}
          </button>
        </form>
        <Told run={run} lab={name} words={words} />
      </div>
      {!wide && (
        <Markdown text={data.readme} lab={name} {...(data.picture === undefined ? {} : { picture: data.picture })} />
      )}
    </div>
  );
}

function Told({ run, lab, words }: { run: RunState; lab: string; words: Words }): JSX.Element {
  const { messages, state, problem } = run;
  const progress = progressOf(messages);
  return (
    <>
      <p class="state" role="status">
        {state === 'none' ? (source.live ? words.ready : words.readyRecorded) : stateLine(run, words)}
      </p>
      {problem !== '' && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      {scenesOf(messages).map((scene, at) => (
        <SceneView key={at} scene={scene} lab={lab} words={words} />
      ))}
      {state === 'running' && progress !== undefined && (
        <p class="progress">
          {progress.label}{' '}
          <progress aria-label={progress.label} max={Math.max(1, progress.total)} value={progress.done} />
        </p>
      )}
      {stderrOf(messages) !== '' && <pre class="error">{stderrOf(messages)}</pre>}
    </>
  );
}

function stateLine({ messages, state, stopped, problem }: RunState, words: Words): string {
  if (problem !== '') return '';
  const events = messages.flatMap((message) => (message.type === 'story' ? [message.event] : []));
  const verdicts = events.filter((event) => event.type === 'verdict');
  const held = verdicts.filter(({ holds }) => holds).length;
  const counted = verdicts.length === 0 ? '' : ` ${held} ${words.of} ${verdicts.length} ${words.ofVerdicts}.`;
  if (state === 'running') return `${events.length < 2 ? words.starting : words.running}${counted}`;
  if (stopped) return words.stopped;
  const code = codeOf(messages);
  const seed = events.find((event) => event.type === 'start')?.seed;
  const seeded = seed === undefined ? '' : ` (${words.seedUsed} ${seed})`;
  return `${code === 0 ? words.over : `${words.failed} ${code ?? '–'}.`}${counted}${seeded}`;
}

const codeOf = (messages: readonly Message[]): number | null | undefined =>
  messages.findLast((message) => message.type === 'ended')?.code;

/** What the program wrote on its own behalf, where it did not end well. */
function stderrOf(messages: readonly Message[]): string {
  const ended = messages.findLast((message) => message.type === 'ended');
  const told = messages.some((message) => message.type === 'story' && message.event.type === 'error');
  return ended === undefined || ended.code === 0 || told ? '' : ended.stderr.trim();
}
