import './style.css';
import { type JSX, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { MapData } from '../api.ts';
import { Lab } from './lab.tsx';
import { LabMap } from './map.tsx';
import { useRoute } from './route.ts';
import { source } from './source.ts';
import { firstLanguage, languages, remember } from './words.ts';

function App(): JSX.Element {
  const route = useRoute();
  const [language, setLanguage] = useState(firstLanguage);
  const [map, setMap] = useState<MapData | undefined>();
  const [problem, setProblem] = useState('');
  const words = languages[language];
  const shown = route.page;
  // Back on the map, what has been learnt meanwhile is on it.
  useEffect(() => {
    if (shown !== 'map') return;
    document.title = 'Concept Labs';
    source.map().then(setMap, () => setProblem(words.lost));
  }, [shown]);
  useEffect(() => {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  }, [language]);
  const place = route.page === 'lab' ? route.lab : '';
  useEffect(() => scrollTo(0, 0), [place]);
  return (
    <>
      <button type="button" class="skip-link" onClick={() => document.getElementById('content')?.focus()}>
        {words.skip}
      </button>
      <header class="top">
        <a class="home" href="#/">
          Concept Labs
        </a>
        <button
          type="button"
          lang={language === 'en' ? 'zh-CN' : 'en'}
          onClick={() => {
            const other = language === 'en' ? 'zh' : 'en';
            remember(other);
            setLanguage(other);
          }}
        >
          {words.language}
        </button>
      </header>
      <main id="content" tabIndex={-1}>
        {route.page === 'map' ? (
          <>
            <h1>{words.labs}</h1>
            {problem !== '' && <p class="error">{problem}</p>}
            {map === undefined ? (
              problem === '' && <p role="status">{words.loading}</p>
            ) : (
              <LabMap map={map} language={language} words={words} />
            )}
          </>
        ) : (
          <Lab route={route} words={words} />
        )}
      </main>
    </>
  );
}

const root = document.getElementById('root');
if (root) render(<App />, root);
