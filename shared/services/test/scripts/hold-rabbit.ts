// Starts a RabbitMQ, says its port, and stays.
import { startRabbit } from '../../src/index.ts';

const rabbit = await startRabbit();
console.log(JSON.stringify(rabbit.node.port));
setInterval(() => {}, 1000);
