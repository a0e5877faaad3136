// Starts a Kafka, makes a topic under its prefix if the environment names the cluster, says its prefix, and stays.
import { Admin } from '@platformatic/kafka';
import { startKafka } from '../../src/index.ts';

const kafka = await startKafka();
if (kafka.origin === 'url') {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...kafka.bootstrap] });
  await admin.createTopics({ topics: [`${kafka.namespace}left`] });
  await admin.close();
}
console.log(JSON.stringify(kafka.namespace));
setInterval(() => {}, 1000);
