# Confluent's own Python client as the other side: writes and reads what a line of JSON on stdin asks for, and answers with a line.
import base64
import importlib
import json
import os
import sys
import tempfile
import time
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

folder = tempfile.mkdtemp()
sys.path.insert(0, folder)
modules = {}


def message_class(text, path):
    """The generated class of a message of a .proto file: `Order` or `Order.Line`."""
    from google.protobuf import json_format  # noqa: F401
    from grpc_tools import protoc

    if text not in modules:
        name = f"file{len(modules)}"
        with open(os.path.join(folder, f"{name}.proto"), "w") as file:
            file.write(text)
        if protoc.main(["protoc", f"-I{folder}", f"--python_out={folder}", f"{folder}/{name}.proto"]) != 0:
            raise RuntimeError("protoc failed")
        modules[text] = importlib.import_module(f"{name}_pb2")
    found = modules[text]
    for part in path.split("."):
        found = getattr(found, part)
    return found


def produce(task, value):
    producer = Producer({"bootstrap.servers": task["brokers"]})
    producer.produce(task["topic"], value=value)
    if producer.flush(30) > 0:
        raise RuntimeError("not delivered within 30 s")


def consume(task):
    """The first message of the topic."""
    consumer = Consumer(
        {"bootstrap.servers": task["brokers"], "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([task["topic"]])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                return message.value()
        raise RuntimeError("nothing came within 60 s")
    finally:
        consumer.close()


def through_kafka(client, task):
    """With `brokers` what is written goes to the topic, and what is read comes from there."""
    if "brokers" not in task:
        return answer(client, task)
    if task["op"] == "read":
        return answer(client, {**task, "bytes": base64.b64encode(consume(task)).decode()})
    value = answer(client, task)
    produce(task, value)
    return value


def answer(client, task):
    context = SerializationContext(task["topic"], MessageField.VALUE)
    kind, schema = task["format"], task.get("schema")
    options = {"auto.register.schemas": task.get("register", True)}
    if task["op"] == "register":
        return client.register_schema(task["subject"], Schema(schema, kind.upper()))
    if kind == "avro":
        if task["op"] == "write":
            return AvroSerializer(client, schema, conf=options)(task["value"], context)
        return AvroDeserializer(client, schema)(base64.b64decode(task["bytes"]), context)
    if kind == "json":
        if task["op"] == "write":
            return JSONSerializer(schema, client, conf=options)(task["value"], context)
        return JSONDeserializer(schema, schema_registry_client=client)(base64.b64decode(task["bytes"]), context)
    from google.protobuf import json_format

    made = message_class(schema, task["message"])
    if task["op"] == "write":
        value = json_format.ParseDict(task["value"], made())
        return ProtobufSerializer(made, client, conf={**options, "use.deprecated.format": False})(value, context)
    # Without the registry: asked for a descriptor (format=serialized) Apicurio sends its bytes as if they were text, which nobody can read.
    read = ProtobufDeserializer(made, {"use.deprecated.format": False})(base64.b64decode(task["bytes"]), context)
    return json_format.MessageToDict(read)


def main():
    client = SchemaRegistryClient({"url": sys.argv[1]})
    for line in sys.stdin:
        try:
            result = through_kafka(client, json.loads(line))
            if isinstance(result, bytes):
                result = {"bytes": base64.b64encode(result).decode()}
            print(json.dumps({"ok": result}), flush=True)
        except Exception as error:  # noqa: BLE001
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


main()
