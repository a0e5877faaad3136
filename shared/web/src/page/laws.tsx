import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { JudgedLaw, LabData, LawInfo, Message, PitfallInfo } from '../api.ts';
import { scrolls } from './blocks.tsx';
import { highlight } from './highlight.ts';
import { source } from './source.ts';
import { useRun } from './use-run.ts';
import type { Words } from './words.ts';

const judgedIn = (messages: readonly Message[]): readonly JudgedLaw[] =>
  messages.flatMap((message) => (message.type === 'law' ? [message.law] : []));
const problemsIn = (messages: readonly Message[]): readonly string[] =>
  messages.flatMap((message) => (message.type === 'graded' ? message.problems : []));

/** The core laws, the hardening laws, and the pitfalls as riddles. */
export function Laws({ data, words }: { data: LabData; words: Words }): JSX.Element {
  const run = useRun(words);
  const judged = judgedIn(run.messages);
  const core = data.laws.filter((law) => law.core !== undefined);
  const others = data.laws.filter((law) => law.core === undefined);
  return (
    <div class="laws">
      <section>
        <h2>{words.coreTitle}</h2>
        <p>{words.coreLead}</p>
        {source.live && (
          <p class="controls">
            <button
              type="button"
              onClick={() => (run.state === 'running' ? run.stop() : run.start({ kind: 'suite', lab: data.card.name }))}
            >
              {run.state === 'running' ? words.stop : words.runSuite}
            </button>
            <span role="status">
              {run.state !== 'none' && `${judged.length} ${words.judged}`}
              {run.state === 'over' && `, ${judged.filter(({ state }) => state === 'passed').length} ${words.passed}`}
              {run.problem}
            </span>
          </p>
        )}
        {problemsIn(run.messages).map((problem) => (
          <pre key={problem} class="error">
            {problem}
          </pre>
        ))}
        <ol class="law-list">
          {core.map((law) => (
            <Law key={law.name} law={law} judged={judged} words={words} />
          ))}
        </ol>
        <details>
          <summary>
            {words.hardeningTitle} ({others.length})
          </summary>
          <p>{words.hardeningLead}</p>
          <ul class="law-list">
            {others.map((law) => (
              <Law key={law.name} law={law} judged={judged} words={words} />
            ))}
          </ul>
        </details>
      </section>
      <section>
        <h2>{words.pitfallsTitle}</h2>
        <p>{words.pitfallsLead}</p>
        {data.pitfalls.map((pitfall) => (
          <Pitfall key={pitfall.name} pitfall={pitfall} lab={data.card.name} words={words} />
        ))}
      </section>
    </div>
  );
}

function Law({ law, judged, words }: { law: LawInfo; judged: readonly JudgedLaw[]; words: Words }): JSX.Element {
  const names = law.names === undefined ? undefined : new RegExp(law.names);
  const results = judged.filter(({ name }) => name === law.name || names?.test(name));
  // Of several, the one that does not hold.
  const result = results.find(({ state }) => state !== 'passed') ?? results[0];
  return (
    <li>
      {result && <Mark state={result.state} words={words} />} {law.name}
      {result?.error !== undefined && <pre class="evidence">{result.error}</pre>}
    </li>
  );
}

const signs = { passed: '✓', failed: '✗', skipped: '↷' } as const;

function Mark({ state, words }: { state: JudgedLaw['state']; words: Words }): JSX.Element {
  const said = { passed: words.passed, failed: words.broken, skipped: words.skippedLaw }[state];
  return (
    <span class={`mark ${state}`} role="img" aria-label={said}>
      {signs[state]}
    </span>
  );
}

function Pitfall({ pitfall, lab, words }: { pitfall: PitfallInfo; lab: string; words: Words }): JSX.Element {
  const [open, setOpen] = useState(false);
  const run = useRun(words);
  const judged = judgedIn(run.messages)[0] ?? (open && !source.live ? pitfall.recorded : undefined);
  const running = run.state === 'running';
  return (
    <article class="pitfall" aria-label={pitfall.name}>
      <h3>{pitfall.name}</h3>
      <pre class="code" {...scrolls}>
        <code dangerouslySetInnerHTML={{ __html: highlight(pitfall.source.trim(), 'typescript') }} />
      </pre>
      <p class="controls">
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? words.hideDiff : words.showDiff}
        </button>
        {source.live && (
          <button
            type="button"
            onClick={() =>
              running ? run.stop() : run.start({ kind: 'suite', lab, pitfall: pitfall.name, law: pitfall.caughtBy })
            }
          >
            {running ? words.stop : words.runLaw}
          </button>
        )}
        <span role="status">{running ? words.running : run.problem}</span>
      </p>
      {open && (
        <div class="flaw">
          <p>
            <strong>{pitfall.flaw}</strong>
          </p>
          {pitfall.diff.map(({ title, lines }) => (
            <figure key={title} class="diff">
              <figcaption>
                {title} <span class="key minus">− {words.reference}</span>{' '}
                <span class="key plus">+ {pitfall.name}</span>
              </figcaption>
              <pre {...scrolls}>
                {lines.map(({ sign, text }, at) => (
                  <span key={at} class={sign === '+' ? 'plus' : sign === '-' ? 'minus' : ''}>
                    {sign} {text}
                  </span>
                ))}
              </pre>
            </figure>
          ))}
          <p>
            {words.caughtBy}: <em>{pitfall.caughtBy}</em>
          </p>
          <SeenIn text={pitfall.seenIn} words={words} />
        </div>
      )}
      {judged && (
        <div class="judged">
          {!source.live && <p>{words.recordedResult}:</p>}
          <p>
            <Mark state={judged.state} words={words} /> {judged.name}
          </p>
          {judged.error !== undefined && <pre class="evidence">{judged.error}</pre>}
        </div>
      )}
      {problemsIn(run.messages).map((problem) => (
        <pre key={problem} class="error">
          {problem}
        </pre>
      ))}
    </article>
  );
}

function SeenIn({ text, words }: { text: string; words: Words }): JSX.Element {
  return (
    <p class="seen-in">
      {words.seenIn}:{' '}
      {text.split(/(https?:\/\/[^\s,;)]+)/).map((part, at) =>
        part.startsWith('http') ? (
          <a key={at} href={part} rel="noreferrer" target="_blank">
            {part.replace(/^https?:\/\//, '')}
          </a>
        ) : (
          part
        ),
      )}
    </p>
  );
}
