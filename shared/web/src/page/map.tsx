import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { LabCard, MapData } from '../api.ts';
import { linkTo } from './route.ts';
import type { Language, Words } from './words.ts';

/** All labs by stage. */
export function LabMap({ map, language, words }: { map: MapData; language: Language; words: Words }): JSX.Element {
  const [wanted, setWanted] = useState('');
  const found = map.labs.filter((lab) => matches(lab, wanted));
  return (
    <div class="map">
      <p class="tagline">{words.tagline}</p>
      <label class="find">
        {words.find}{' '}
        <input type="search" value={wanted} onInput={({ currentTarget }) => setWanted(currentTarget.value)} />
      </label>
      {found.length === 0 && <p role="status">{words.nothingFound}</p>}
      {map.stages.map((stage) => {
        const labs = found.filter((lab) => lab.stage === stage.name);
        if (labs.length === 0) return null;
        return (
          <section key={stage.name} class="stage-of-labs">
            <h2>
              {language === 'zh' ? stage.chinese : stage.english}{' '}
              <span class="other">{language === 'zh' ? stage.english : stage.chinese}</span>
            </h2>
            <ul>
              {labs.map((lab) => (
                <Card key={lab.name} lab={lab} map={map} words={words} />
              ))}
            </ul>
          </section>
        );
      })}
    </div>
  );
}

const matches = (lab: LabCard, wanted: string): boolean =>
  wanted
    .toLowerCase()
    .split(/\s+/)
    .every((word) =>
      `${lab.name} ${lab.title} ${lab.description} ${lab.services.join(' ')}`.toLowerCase().includes(word),
    );

function Card({ lab, map, words }: { lab: LabCard; map: MapData; words: Words }): JSX.Element {
  const before = lab.after.flatMap((name) => map.labs.filter((each) => each.name === name));
  return (
    <li class="card">
      <h3>
        <a href={linkTo(lab.name)}>{lab.title}</a>
      </h3>
      <p>{lab.description}</p>
      <ul class="facts">
        {lab.services.length === 0 && <li>{words.needsNothing}</li>}
        {lab.services.length > 0 && (
          <li class={lab.missing.length > 0 ? 'missing' : ''} title={lab.missing.length > 0 ? words.notAtHand : ''}>
            {words.needs} {lab.services.join(', ')}
            {lab.missing.length > 0 && <span class="visually-hidden"> ({words.notAtHand})</span>}
          </li>
        )}
        {lab.demoSeconds !== undefined && (
          <li>
            {words.takes} {Math.max(1, Math.round(lab.demoSeconds))} s
          </li>
        )}
        {lab.coreLaws > 0 && (
          <li>
            {lab.coreLaws} {words.coreLaws}
          </li>
        )}
        {before.length > 0 && (
          <li>
            {words.after}{' '}
            {before.map((each, at) => (
              <span key={each.name}>
                {at > 0 && ', '}
                <a href={linkTo(each.name)}>{each.name}</a>
              </span>
            ))}
          </li>
        )}
      </ul>
      {lab.progress && <How lab={lab} words={words} />}
    </li>
  );
}

function How({ lab: { progress, coreLaws, title }, words }: { lab: LabCard; words: Words }): JSX.Element | null {
  if (!progress) return null;
  if (progress.solved) return <p class="how good">✓ {words.solved}</p>;
  if (progress.understood) return <p class="how good">✓ {words.understood}</p>;
  const { green, total } = progress.core;
  const of = total || coreLaws;
  return (
    <p class="how">
      <progress aria-label={title} max={Math.max(1, of)} value={green} /> {green} {words.of} {of} {words.coreLaws}
    </p>
  );
}
