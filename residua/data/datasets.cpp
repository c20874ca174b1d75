#include "residua/data/cifar.h"
#include "residua/data/dataset.h"
#include "residua/data/digits.h"
#include "residua/data/folder.h"
#include "residua/data/mnist.h"
#include "residua/data/text/corpus.h"

namespace residua {

namespace {

struct NoOptions {
  void fields(Fields&) {}
};

template <class Options, class Make>
void add_dataset(Registry<DataSplits>& registry, std::string name, std::string help, Make make) {
  registry.add<Options>(
      {.name = std::move(name), .help = std::move(help)}, Options{},
      [make](const Options& options) { return std::make_shared<DataSplits>(make(options)); });
}

template <class Options, class Make>
void add_corpus(Registry<DataSplits>& registry, std::string name, std::string help, Make make) {
  add_dataset<Options>(registry, std::move(name), std::move(help), [make](const Options& options) {
    return DataSplits{.text = make(options)};
  });
}

}  // namespace

std::string DataSplits::name() const { return text ? text->name : train->info().name; }

Registry<DataSplits>& datasets() {
  static Registry<DataSplits> registry = [] {
    Registry<DataSplits> r("dataset");
    add_dataset<NoOptions>(r, "digits",
                           "1,797 handwritten digits of 8x8 pixels, in the library itself",
                           [](const NoOptions&) { return make_digits(); });
    add_dataset<MnistOptions>(r, "mnist", "70,000 handwritten digits of 28x28 pixels", make_mnist);
    add_dataset<MnistOptions>(r, "fashion-mnist", "70,000 pieces of clothing of 28x28 pixels",
                              make_fashion_mnist);
    add_dataset<Cifar10Options>(r, "cifar10", "60,000 colour images of 32x32 pixels in 10 classes",
                                make_cifar10);
    add_dataset<Cifar100Options>(
        r, "cifar100", "60,000 colour images of 32x32 pixels in 100 or 20 classes", make_cifar100);
    add_dataset<FolderOptions>(r, "folder", "JPEG and PNG files, a folder for each class",
                               make_folder);
    add_corpus<TextOptions>(r, "shakespeare", "1.1 million characters of Shakespeare's plays",
                            make_shakespeare);
    add_corpus<TextOptions>(r, "text", "a plain text file", make_text);
    add_corpus<StringsOptions>(r, "strings", "generated strings with a pattern, to try things on",
                               make_strings);
    return r;
  }();
  return registry;
}

}  // namespace residua
