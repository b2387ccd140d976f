"""The name of the processor."""

import platform

from microgpt.machine import processor


def test_linux_names_it_and_else_python_does(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert processor.processor_name() == "arm"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Chip: 3 GHz\nmodel name\t: Another\n")
    assert processor.processor_name() == "A Chip: 3 GHz"
    (tmp_path / "cpuinfo").write_text("no name\n")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor.processor_name() == platform.machine()
