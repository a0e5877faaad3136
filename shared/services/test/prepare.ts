import { startPostgres, startRedis } from '../src/index.ts';

/** Fetches and initialises what is not on this machine yet, so that no test's time limit pays for it. */
export default async function prepare(): Promise<void> {
  process.env['LABS_SERVICES'] = 'embedded';
  await using _redis = await startRedis();
  await using _postgres = await startPostgres();
}
