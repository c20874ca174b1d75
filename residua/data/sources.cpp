#include "residua/data/sources.h"

#include "residua/core/error.h"

namespace residua {

const std::vector<PublishedDataset>& published_datasets() {
  static const std::vector<PublishedDataset> all{
      // The mirror and digests that torchvision uses; the original site no longer serves the files.
      {"mnist",
       "https://ossci-datasets.s3.amazonaws.com/mnist/",
       {{"train-images-idx3-ubyte.gz", DigestKind::md5, "f68b3c2dcbeaaa9fbdd348bbdeb94873"},
        {"train-labels-idx1-ubyte.gz", DigestKind::md5, "d53e105ee54ea40749a09fcbcd1e9432"},
        {"t10k-images-idx3-ubyte.gz", DigestKind::md5, "9fb629c4189551a2d022fa330f9573f3"},
        {"t10k-labels-idx1-ubyte.gz", DigestKind::md5, "ec29112dd5afa0611ce80d1b7f02629c"}}},
      // https://github.com/zalandoresearch/fashion-mnist
      {"fashion-mnist",
       "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
       {{"train-images-idx3-ubyte.gz", DigestKind::md5, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"},
        {"train-labels-idx1-ubyte.gz", DigestKind::md5, "25c81989df183df01b3e8a0aad5dffbe"},
        {"t10k-images-idx3-ubyte.gz", DigestKind::md5, "bef4ecab320f06d8554ea6380940ec79"},
        {"t10k-labels-idx1-ubyte.gz", DigestKind::md5, "bb300cfdad3c16e7a12a480ee83cd310"}}},
      // https://www.cs.toronto.edu/~kriz/cifar.html
      {"cifar10",
       "https://www.cs.toronto.edu/~kriz/",
       {{"cifar-10-binary.tar.gz", DigestKind::md5, "c32a1d4ab5d03f1284b67883e8d87530", true}}},
      {"cifar100",
       "https://www.cs.toronto.edu/~kriz/",
       {{"cifar-100-binary.tar.gz", DigestKind::md5, "03b5dce01913d631647c71ecec9e9cb8", true}}},
      // https://github.com/karpathy/char-rnn
      {"shakespeare",
       "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
       {{"input.txt", DigestKind::sha256,
         "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}}},
  };
  return all;
}

const PublishedDataset& find_published(std::string_view name) {
  std::vector<std::string> names;
  for (const PublishedDataset& dataset : published_datasets()) {
    if (dataset.name == name) return dataset;
    names.push_back(dataset.name);
  }
  std::string hint = nearest_names_hint(name, names);
  if (hint.empty())
    hint =
        "there are mnist, fashion-mnist, cifar10, cifar100 and shakespeare; digits needs no "
        "download";
  throw Error(ErrorKind::not_found, {.where = std::string(name),
                                     .rule = "is not a dataset that can be downloaded",
                                     .hint = hint});
}

}  // namespace residua
