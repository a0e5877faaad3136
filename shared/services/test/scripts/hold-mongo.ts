// Starts a MongoDB, says the folder of its data, and stays.
import { startMongo } from '../../src/index.ts';

const { nodes } = await startMongo();
console.log(JSON.stringify(nodes[0].port));
setInterval(() => {}, 1000);
