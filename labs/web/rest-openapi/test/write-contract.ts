import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bookshopContract } from './bookshop.ts';

const file = join(import.meta.dirname, '../openapi.json');
await writeFile(file, `${JSON.stringify(await bookshopContract(), null, 2)}\n`);
console.log(`${file} is as the routes are now.`);
