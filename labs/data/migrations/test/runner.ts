// A process that migrates, and tells of each batch. It is there to be killed.
import { Pool } from 'pg';
import { journey } from './parcels.ts';

export interface Task {
  readonly url: string;
  readonly schema: string;
  readonly size: number;
  /** A file; by default the lab that is being graded. */
  readonly lab?: string;
}

if (process.send) {
  const { url, schema, size, lab = '#lab' }: Task = JSON.parse(process.argv[2] ?? '');
  const { createMigrator }: typeof import('#lab') = await import(lab);
  const db = new Pool({ connectionString: url, options: `-c search_path=${schema}`, application_name: 'runner' });
  const migrator = createMigrator({ db, migrations: journey(size), backup: async () => {} });
  await migrator.up({ onProgress: (progress) => process.send?.(progress), to: '02 backfill' });
  await db.end();
  process.disconnect();
}
