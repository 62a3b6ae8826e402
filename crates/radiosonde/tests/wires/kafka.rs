//! A broker that speaks Kafka's protocol, where somebody names one.

use std::time::Duration;

use radiosonde::exporter::{
    kafka::{self, KafkaConfig},
    spool::SpoolConfig,
};
use rskafka::client::{ClientBuilder, partition::UnknownTopicHandling};

use crate::records::{deliver, export, logs};

#[test]
#[ignore = "needs a broker: KAFKA_BROKER=host:9092, with the topic telemetry.logs"]
fn kafka_has_every_message() {
    let Ok(broker) = std::env::var("KAFKA_BROKER") else {
        eprintln!("SKIPPED: no broker is named by KAFKA_BROKER");
        return;
    };
    let config = KafkaConfig {
        spool: SpoolConfig::in_memory(),
        ..KafkaConfig::new(broker.clone())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let count = || {
        runtime.block_on(async {
            let client = ClientBuilder::new(vec![broker.clone()])
                .build()
                .await
                .unwrap();
            let topics = client.list_topics().await.unwrap();
            let topic = topics
                .iter()
                .find(|one| one.name == "telemetry.logs")
                .unwrap();
            let mut count = 0;
            for partition in &topic.partitions {
                let handling = UnknownTopicHandling::Retry;
                let partition = client.partition_client("telemetry.logs", *partition, handling);
                let end = rskafka::client::partition::OffsetAt::Latest;
                count += partition.await.unwrap().get_offset(end).await.unwrap();
            }
            count
        })
    };
    let before = count();
    let mut exporter = kafka::start(&config).unwrap();
    let sent: Vec<String> = (0..100).map(|index| format!("message {index}")).collect();
    export(&mut exporter, &logs(&sent));
    deliver(&mut exporter);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(count() - before, 100);
}
