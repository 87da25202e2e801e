"""rooms.py finds each kind of breach in a small tree, and nothing in a clean one."""
import pathlib
import tempfile
import unittest

import rooms

CLEAN = {
    "CMakeLists.txt": "project(x)\n",
    "common/core/CMakeLists.txt": "plumbline_room(plumbline_core SOURCES core.cpp LINKS fmt)\n",
    "common/core/core.hpp": "",
    "common/core/core.cpp": '#include "common/core/core.hpp"\n',
    "common/data/CMakeLists.txt": "plumbline_room(plumbline_data\n  SOURCES data.cpp\n  LINKS plumbline_core)\n",
    "common/data/data.hpp": '#include "common/core/core.hpp"\n',
    "common/data/data.cpp": '#include "common/data/data.hpp"\n',
    "coordinator/serve/CMakeLists.txt": "plumbline_room(plumbline_serve SOURCES serve.cpp LINKS plumbline_data)\n",
    "coordinator/serve/serve.cpp": '#include "common/core/core.hpp"\n#include "common/data/data.hpp"\n',
    "worker/model/CMakeLists.txt": "plumbline_worker_room(plumbline_model SOURCES model.cpp LINKS plumbline_core)\n",
    "worker/model/model.cpp": '#include <torch/torch.h>\n#include "common/core/core.hpp"\n',
}


class RoomsTest(unittest.TestCase):
    def findings(self, name=None, text=""):
        """What is found in the clean tree with one file changed."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for file, content in {**CLEAN, **({name: text} if name else {})}.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(content)
            return list(rooms.findings(root))

    def expect(self, part, name, text):
        found = self.findings(name, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_a_clean_tree(self):
        self.assertEqual(self.findings(), [])

    def test_an_empty_tree_is_no_pass(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("no room", list(rooms.findings(pathlib.Path(folder)))[0])

    def test_common_includes_coordinator(self):
        self.expect("common/core/core.hpp:1: common/ may not include coordinator/",
                    "common/core/core.hpp", '#include "coordinator/serve/serve.hpp"\n')

    def test_worker_includes_coordinator(self):
        self.expect("worker/model/model.cpp:1: worker/ may not include coordinator/",
                    "worker/model/model.cpp", '#include "coordinator/serve/serve.hpp"\n')

    def test_torch_outside_the_worker(self):
        self.expect("only worker/ may include torch/torch.h", "coordinator/serve/serve.cpp", "#include <torch/torch.h>\n")

    def test_mpi_outside_the_worker(self):
        self.expect("only worker/ may include mpi.h", "common/core/core.cpp", "#include <mpi.h>\n")

    def test_yaml_outside_the_config_room(self):
        self.expect("only common/config may include yaml-cpp", "common/core/core.cpp", "#include <yaml-cpp/yaml.h>\n")

    def test_an_include_without_a_link(self):
        self.expect("plumbline_core includes common/data/data.hpp but does not link plumbline_data",
                    "common/core/core.cpp", '#include "common/data/data.hpp"\n')

    def test_a_link_against_the_direction(self):
        found = self.findings("common/core/CMakeLists.txt",
                              "plumbline_room(plumbline_core SOURCES core.cpp LINKS plumbline_serve)\n")
        self.assertTrue(any("plumbline_core of common/ may not link plumbline_serve" in f for f in found), found)

    def test_rooms_that_link_each_other(self):
        found = self.findings("common/core/CMakeLists.txt",
                              "plumbline_room(plumbline_core SOURCES core.cpp LINKS plumbline_data)\n")
        self.assertTrue(found and all("link each other" in f for f in found), found)

    def test_mpi_linked_outside_the_worker(self):
        self.expect("only worker/ may link MPI::MPI_C (plumbline_core)", "common/core/CMakeLists.txt",
                    "plumbline_room(plumbline_core SOURCES core.cpp LINKS MPI::MPI_C)\n")

    def test_a_stray_file_at_the_root(self):
        self.expect("notes.txt: nothing else stands at the root", "notes.txt", "")


if __name__ == "__main__":
    unittest.main()
