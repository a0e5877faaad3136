import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { LabData } from '../api.ts';
import { CodeLines } from './blocks.tsx';
import { highlightLines } from './highlight.ts';
import { Laws } from './laws.tsx';
import { Learn } from './learn.tsx';
import { linkTo, type Route, tabs } from './route.ts';
import { source } from './source.ts';
import { Story } from './story.tsx';
import type { Words } from './words.ts';

type LabRoute = Extract<Route, { page: 'lab' }>;

/** One lab: its story, its laws, the reader's own attempt, its files. */
export function Lab({ route, words }: { route: LabRoute; words: Words }): JSX.Element {
  const [data, setData] = useState<LabData | undefined>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let current = true;
    setData(undefined);
    setProblem('');
    document.title = 'Concept Labs';
    source.lab(route.lab).then(
      (found) => current && setData(found),
      (error: unknown) => current && setProblem(error instanceof Error ? error.message : words.notFound),
    );
    return () => {
      current = false;
    };
  }, [route.lab]);
  useEffect(() => {
    if (data) document.title = `${data.card.title} · Concept Labs`;
  }, [data]);
  if (problem !== '') return <p class="error">{problem}</p>;
  if (data === undefined) return <p role="status">{words.loading}</p>;
  return (
    <>
      <h1>{data.card.title}</h1>
      <p class="description">{data.card.description}</p>
      <nav class="tabs" aria-label={data.card.title}>
        {tabs.map((tab) => (
          <a key={tab} href={linkTo(data.card.name, tab)} aria-current={tab === route.tab ? 'page' : undefined}>
            {words[tab]}
          </a>
        ))}
      </nav>
      {/* What has been told stays while another tab is looked at, and a run goes on. */}
      <div hidden={route.tab !== 'story'}>
        <Story key={data.card.name} data={data} words={words} />
      </div>
      {route.tab === 'laws' && <Laws data={data} words={words} />}
      <div hidden={route.tab !== 'build'}>
        <Learn key={data.card.name} data={data} shown={route.tab === 'build'} words={words} />
      </div>
      {route.tab === 'files' && <FilesView data={data} route={route} words={words} />}
    </>
  );
}

function FilesView({ data, route, words }: { data: LabData; route: LabRoute; words: Words }): JSX.Element {
  const names = Object.keys(data.files);
  // A folder, or a link to one, shows its first file.
  const file = names.find((name) => name === route.file) ?? names.find((name) => name.startsWith(route.file ?? 'src/'));
  const text = file === undefined ? '' : (data.files[file] ?? '');
  const shown = useRef<HTMLElement>(null);
  const lines = useMemo(() => highlightLines(text.replace(/\n$/, ''), file ?? ''), [text, file]);
  useEffect(() => {
    const marked = shown.current?.querySelector('.marked');
    if (marked) marked.scrollIntoView({ block: 'center' });
    // Who comes from far down a README begins at the file's first line.
    else if ((shown.current?.getBoundingClientRect().top ?? 0) < 0) shown.current?.scrollIntoView();
  }, [route.line, file]);
  return (
    <div class="files">
      <nav aria-label="files">
        <ul>
          {names.map((name) => (
            <li key={name}>
              <a href={linkTo(data.card.name, 'files', name)} aria-current={name === file ? 'page' : undefined}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <figure class="code" ref={shown}>
        <figcaption>{file ?? words.notFound}</figcaption>
        <CodeLines lines={lines} from={1} {...(route.line === undefined ? {} : { mark: route.line })} />
      </figure>
    </div>
  );
}
