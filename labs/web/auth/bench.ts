import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Pool } from 'pg';
import { accessTokenGuard, SCHEMA, Sessions } from './src/index.ts';
import { card, newKey, openKeys, sign } from './test/issuer.ts';

await tell({ title: 'Auth: what a look at a card costs', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 8 }), (it) => it.end());
  pool.on('error', () => {});
  await pool.query(SCHEMA);
  const key = await newKey('one');
  const { jwksUri } = bin.use(await openKeys([key.jwk]));
  const house = { issuer: 'https://desk.example', audience: 'https://doors.example' };
  const header = `Bearer ${await sign(card(house), { key })}`;
  const guard = accessTokenGuard({ ...house, jwksUri, algs: ['ES256'] });
  const keys = createRemoteJWKSet(new URL(jwksUri));
  const sessions = new Sessions({ pool });
  const [cookie] = (await sessions.start('mo', undefined)).split(';', 1);
  const expected = { ...house, algorithms: ['ES256'], typ: 'at+jwt', clockTolerance: 5 };

  await story.scene('One token, one session, eight at a time', async () => {
    const [lab, jose, session] = await contest(
      {
        accessTokenGuard: () => guard(header),
        'jose alone': () => jwtVerify(header.slice(7), keys, expected),
        'a session in PostgreSQL': () => sessions.find(cookie),
      },
      { workers: 8, rounds: 7, turnMs: 400 },
    );
    if (!lab || !jose || !session) throw new Error('three contestants');
    story.table(standingsTable([lab, jose, session]));
    const beside = { jose: consensus(ratios(lab, jose)), session: consensus(ratios(lab, session)) };
    story.verdict('The guard costs little beside jose', `${beside.jose.text} of its speed`, beside.jose.median > 0.7);
    story.say(`Tokens beside sessions, looks a second: ${beside.session.text}.`);
  });
});
