import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { type LabData, type LearnKey, learnKeys } from '../api.ts';
import { Ansi } from './ansi.tsx';
import { source } from './source.ts';
import { useRun } from './use-run.ts';
import type { Words } from './words.ts';

/** What the terminal shows of `pnpm lab learn`, as files are saved; its keys are buttons, and keys here, too. */
export function Learn({ data, shown, words }: { data: LabData; shown: boolean; words: Words }): JSX.Element {
  const run = useRun(words);
  const { name } = data.card;
  const { messages, state, press, stop } = run;
  const page = messages.findLast((message) => message.type === 'page');
  const status = messages.at(-1)?.type === 'status' ? messages.at(-1) : undefined;
  const labels: Readonly<Record<LearnKey, string>> = {
    h: words.hint,
    r: words.rerun,
    d: words.diff,
    a: words.all,
  };
  useEffect(() => {
    if (state !== 'running' || !shown) return;
    const typed = (event: KeyboardEvent): void => {
      const key = learnKeys.find((each) => each === event.key);
      const writes = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
      if (key !== undefined) press(key);
      // The page says so, as in a terminal.
      if (event.key === 'q') stop();
    };
    addEventListener('keydown', typed);
    return () => removeEventListener('keydown', typed);
  }, [state, shown, press, stop]);
  if (!source.live) {
    return (
      <div class="learn">
        <p>{words.learnStatic}</p>
        <pre>{`npx pnpm lab learn ${name}`}</pre>
      </div>
    );
  }
  return (
    <div class="learn">
      <p>{words.learnLead}</p>
      <p class="controls">
        <button
          type="button"
          class="primary"
          onClick={() => (state === 'running' ? run.stop() : run.start({ kind: 'learn', lab: name }))}
        >
          {state === 'running' ? words.learnEnd : words.learnStart}
        </button>
        {state === 'running' &&
          learnKeys.map((key) => (
            <button key={key} type="button" onClick={() => press(key)}>
              {labels[key]} <kbd>{key}</kbd>
            </button>
          ))}
      </p>
      <p class="state" role="status">
        {run.problem !== '' ? run.problem : status?.type === 'status' && state === 'running' ? status.text.trim() : ''}
      </p>
      {page?.type === 'page' && <Ansi text={page.text} />}
      <p>
        <span>{words.copy}: </span>
        <code>{`pnpm lab copy ${name} DIR`}</code>
      </p>
    </div>
  );
}
